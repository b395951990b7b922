"""Chapter 30: tumours with both RNAs measured, predicted by models that never saw them."""
