"""Checkpoints on their way to the Hub: the queue, what a revision holds, its card, and the process that uploads."""
