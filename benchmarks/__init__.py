"""The figures of the README, measured: `make bench`, or one by one, `python -m benchmarks.NAME`."""
