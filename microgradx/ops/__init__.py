"""The table of derivatives: one family of ops a file."""
