"""Exceptions whose message is for the user; commands print them as one line."""


class InputError(ValueError):
    """Something that was given is wrong; the message names the value and the remedy. Recipes print it as one line."""


class PublishError(RuntimeError):
    """Something is not on the Hub; the message names it and the remedy. Training and its files are unharmed."""
