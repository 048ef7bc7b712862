"""Drawings of computation graphs: what is shown, what it is called, and how it is laid out."""
