"""What people on duty use, without their screens."""
