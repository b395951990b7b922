"""Chapter 12: how often tests, hubs and crosstalk find what is there, and what is not."""
