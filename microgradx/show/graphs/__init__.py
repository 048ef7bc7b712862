"""Drawings of computation graphs: what they show, its names, and the file formats."""
