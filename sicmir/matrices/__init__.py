"""Matrices of expression before any model: their storage, their units, their groups of cells, their scale."""
