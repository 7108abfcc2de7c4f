"""`sweep`: fine-tunes many models on many treebanks."""
