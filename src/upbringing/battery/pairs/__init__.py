"""Evidence that needs two checkpoints at once."""
