"""Labelled sentences of any entity classes: column files, spans in JSON lines, and `datasets`."""
