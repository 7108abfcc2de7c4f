"""The model card of a published checkpoint: its facts, its metadata and the Jinja template of its text."""
