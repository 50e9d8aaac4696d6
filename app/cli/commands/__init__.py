"""The commands. `app.cli.program` lists them, and loads the module of the one that is given."""
