"""Fine-tune a checkpoint to recognise named entities or to classify texts, and score it."""
