"""Names of genes and miRNAs: what a column is called, was called, and is called in another species."""
