"""What a study could find: before it runs, from a pilot, and what would have decided it."""
