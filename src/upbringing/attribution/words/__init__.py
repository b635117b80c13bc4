"""The fixed sentences of findings: one grammar for verdicts, one sentence for each honest failure."""
