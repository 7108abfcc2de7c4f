"""Class episodes: which group of words does a word belong to, by the state at its last token.

- `config`: their arguments.
- `episode`: the words of a micro-batch that have a class, in two sides with different words.
- `loss`: the loss of an episode with each head.
- `source`: draws the episodes of a run, and keeps the memory.
"""
