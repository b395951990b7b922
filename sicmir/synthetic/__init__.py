"""Synthetic cells, counts, vesicles and networks with a known truth; samples are in :mod:`sicmir.toy`."""
