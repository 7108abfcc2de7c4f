"""Compare ways of pretraining over several seeds at equal compute."""
