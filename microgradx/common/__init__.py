"""The common ground: messages, files, threads, memory and randomness."""
