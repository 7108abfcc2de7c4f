"""`benchmark`: times training steps, episodes, generation and start-up in turn, and reports ratios."""
