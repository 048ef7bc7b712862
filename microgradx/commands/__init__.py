"""The commands of `python -m microgradx`: each adds its arguments to the parser, and runs."""
