"""Statistics that count donors: designs, moderated tests, survival, effects and how sure they are."""
