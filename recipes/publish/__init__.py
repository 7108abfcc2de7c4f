"""`publish`: uploads a run's checkpoints to the Hub, one revision each."""
