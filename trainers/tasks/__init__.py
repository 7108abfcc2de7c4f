"""Episodes from labelled tasks of the user's own: few-shot classification of sentences or of entities.

- `files`: reads labelled texts.
- `hold_out`: which tasks and classes training episodes have.
- `table`: the texts as windows of token ids.
- `sampling`: draws an episode.
- `source`: mixes them with word episodes.
- `adaptation`: query accuracy on held-out tasks and held-out classes.
"""
