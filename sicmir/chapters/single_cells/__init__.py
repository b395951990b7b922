"""Chapter 11, and cells that other chapters take from it."""
