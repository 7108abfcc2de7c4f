"""`python -m pico_maml.recipes.evaluate`."""

from ..arguments.parser import run
from .command import main

if __name__ == "__main__":
    run(main)
