"""What fine-tuning for any task shares: arguments, trainer, heads on frozen features, few shots, splits of data."""
