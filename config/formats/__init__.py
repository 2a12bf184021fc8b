"""How times look, by language."""
