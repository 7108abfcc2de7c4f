"""Evaluate a checkpoint on held-out text: perplexity, and accuracy of adaptation."""
