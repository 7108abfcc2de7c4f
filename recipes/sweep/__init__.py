"""Fine-tune many models on many treebanks."""
