"""Answers to claims of the field, part by part, from the claims of a study."""
