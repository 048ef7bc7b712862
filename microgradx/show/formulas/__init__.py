"""Formulas: read, printed, written by computations themselves, filled with numbers, verified."""
