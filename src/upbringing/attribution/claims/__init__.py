"""Questions answered, corrected for how many were asked, and put into words, claim by claim."""
