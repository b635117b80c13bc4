"""Scorers of harm: what a scorer file can declare, and how each is opened."""
