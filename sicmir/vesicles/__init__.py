"""Crosstalk of cell types by extracellular vesicles: its terms, its permutations, its controls."""
