"""From words on the command line to commands."""
