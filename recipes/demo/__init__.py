"""Everything in a few minutes, beside the same without episodes."""
