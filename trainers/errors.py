"""The one exception for what a user can put right."""


class InputError(ValueError):
    """Something that was given is wrong; the message names the value and the remedy. Recipes print it as one line."""
