"""The development stack: what stands in for the outside world on one machine."""
