"""Phases of learning curves: pure functions on arrays, with an uncertainty for every estimate."""
