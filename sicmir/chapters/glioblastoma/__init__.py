"""Chapter 33: gliomas, their vesicles, and the published pseudobulks."""
