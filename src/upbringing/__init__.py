"""Find out which stage of a language model's training made it safe, and put safety in where it stays."""
