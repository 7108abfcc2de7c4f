"""The model card: what is known of a run, its figures, its metadata and its text."""
