"""Checkpoints on their way to the Hub: a queue on disk, what a revision holds, its card, and the process that uploads."""
