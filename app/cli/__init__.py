"""The command line: from its words to a command, and from a result or an error to an exit code."""

from app.cli.program import run

__all__ = ["run"]
