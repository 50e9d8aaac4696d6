"""Every report once, on disk; and what is projected from it, the daily file."""
