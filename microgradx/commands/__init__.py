"""The commands of `python -m microgradx`: a file for each, with `add_parser` and `run`."""
