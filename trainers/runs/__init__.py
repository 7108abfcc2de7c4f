"""A run's folder on disk: its files, its checkpoints, and what keeps a run from being lost."""
