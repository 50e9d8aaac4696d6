"""What is seen of a running service from outside: metrics, health, logs."""
