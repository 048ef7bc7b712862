"""Drawings, pages, texts and charts of computations; nothing here changes a computation."""
