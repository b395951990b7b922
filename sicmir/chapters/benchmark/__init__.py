"""Chapter 20: the full benchmark and its stored tables."""
