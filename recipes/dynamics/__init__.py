"""Measure learning dynamics of a series of saved checkpoints."""
