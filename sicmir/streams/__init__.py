"""How files of any size pass through a model, and how what is predicted is written and taken up again."""
