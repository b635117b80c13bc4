"""Scoring files of texts, training and checking what scores them: the verbs under ``upbringing data``."""
