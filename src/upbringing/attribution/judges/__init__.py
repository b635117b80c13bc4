"""What human labels, or their lack, make of a judge's word: errors, corrections, and what is allowed for."""
