"""Runnable recipes: `python -m pico_maml.recipes.NAME --help`. They tie the trainers to the callbacks."""
