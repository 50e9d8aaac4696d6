"""Exact figures and messages. No I/O, and no clock: who needs the time hands it in."""
