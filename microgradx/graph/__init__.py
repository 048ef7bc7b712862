"""What a computation records, and for whom."""
