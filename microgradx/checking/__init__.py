"""Gradients checked against finite differences, and what is wrong with those that differ."""
