"""Phases of learning curves: pure functions on arrays that say how sure they are, or that there is nothing to say."""
