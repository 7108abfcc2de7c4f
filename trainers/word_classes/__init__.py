"""Classes of words, which episodes may have for classes in place of words: made from the training text, or a file.

- `table`: the classes of words, as a file and for token ids.
"""

from .table import CLASSES_FILE, WordClasses, spelling_table

__all__ = ["CLASSES_FILE", "WordClasses", "spelling_table"]
