"""Time training steps, episodes, generation and start-up, and report ratios."""
