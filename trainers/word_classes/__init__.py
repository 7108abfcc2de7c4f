"""Classes of words, which episodes may have for classes in place of words: made from the training text, or a file.

- `table`: the classes of words, as a file and for token ids.
- `making`: makes those that a run asks for.
- `counting`: counts words and their neighbours in a text of any length.
- `neighbour_vectors`: PPMI, SVD and k-means.
- `token_vectors`: the same vectors of tokens, for an embedding to start from.
"""

from .class_config import ClassConfig
from .making import Record, make_classes
from .table import WordClasses, spelling_table

__all__ = ["ClassConfig", "Record", "WordClasses", "make_classes", "spelling_table"]
