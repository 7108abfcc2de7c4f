"""Phases of learning curves: pure functions on arrays, which say how sure they are and when there is nothing to say."""
