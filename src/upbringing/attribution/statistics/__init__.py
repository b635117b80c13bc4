"""Numbers in, intervals and p-values out: nothing here knows a checkpoint, a measure or a study."""
