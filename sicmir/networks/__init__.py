"""Networks of miRNAs and their targets: edges, hubs, modules, enrichment, figures and files."""
