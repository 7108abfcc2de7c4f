"""The command-line parser and the dataclasses of arguments that several commands share."""
