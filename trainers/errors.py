"""Exceptions with a message for the user, which commands print as one line."""


class InputError(ValueError):
    """A wrong argument or file; the message names the value and the remedy."""


class PublishError(RuntimeError):
    """Something is missing on the Hub; the message names it and the remedy. Local files are unharmed."""
