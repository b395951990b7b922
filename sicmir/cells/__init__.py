"""Single cells: their quality, names and types, and predictions held against measured references."""
