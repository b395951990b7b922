"""How a bundle predicts: input of any units brought to what a model reads, and rows in single precision."""
