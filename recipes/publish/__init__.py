"""Upload the checkpoints of a run to the Hub, one revision each."""
