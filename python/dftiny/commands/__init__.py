"""The command line's subcommands, one module a part of the way; cli.py puts them together. No logic in any of them."""
