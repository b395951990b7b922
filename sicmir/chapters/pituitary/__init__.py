"""Chapter 32: the pituitary, few measured genes, and animals."""
