"""A language whose words have known classes, and a small run with class episodes."""

from small_run import trainer

from pico_maml.trainers import MAMLTrainer
from pico_maml.trainers.word_classes import WordClasses

CLASSES = 4
WORDS = [first + second + third for first in "bdfgk" for second in "aeiou" for third in "lmnr"]  # 100
# Settings of each head.
HEADS = {
    "batch": {"meta_algorithm": "protonet"},
    "memory": {"meta_algorithm": "protonet", "class_support": "memory"},
    "maml": {"meta_algorithm": "maml", "inner_steps": 5, "inner_lr": 0.1},
    "direct": {"meta_algorithm": "direct"},
}
SETTINGS = {"episode_classes": "clusters", "readout": "word", "hybrid_mode": "add", "class_width": 16}
SETTINGS |= {"hybrid_ratio": 1.0, "held_out_words": 0.2}


def word_classes() -> WordClasses:
    """Words in turn are of the classes 0, 1, 2 and 3."""
    return WordClasses.from_words(WORDS, [str(i % CLASSES) for i in range(len(WORDS))], [1] * len(WORDS))


def class_trainer(model, blocks, tokenizer, output_dir, head: str, **changes) -> MAMLTrainer:
    settings = SETTINGS | HEADS[head] | changes
    return trainer(model, blocks, tokenizer, output_dir, word_classes=word_classes(), **settings)
