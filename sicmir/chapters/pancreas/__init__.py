"""Chapter 31: pancreatic tumours in single cells and on a section."""
