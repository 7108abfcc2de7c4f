"""Fine-tune a checkpoint for named entity recognition and score it."""
