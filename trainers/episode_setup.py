"""What `MAMLTrainer` prepares before its first step: the model's head, its record of episodes, and their source."""

from typing import Any

from accelerate.utils import parse_flag_from_env
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from .class_episodes.source import ClassEpisodeSource
from .corpus import load_words, mask_id
from .drawing import DrawsEpisodes
from .episode_source import EpisodeSource
from .errors import InputError
from .maml_config import MAMLConfig
from .meta.episode_model import EpisodeModel
from .meta.meta_causal_lm import MetaCausalLM, add_head
from .tasks.hold_out import TRAINED, merged, trained_classes
from .tasks.source import TaskEpisodeSource
from .word_classes import WordClasses, spelling_table


def with_head(
    model: PreTrainedModel | EpisodeModel, args: MAMLConfig, word_classes: WordClasses | None
) -> EpisodeModel:
    """Return the model with a head for the episodes of a run, its own if it has one.

    Raises:
        InputError: its head has other arguments than the run's, or the model cannot be trained as the run asks.
    """
    head = args.head() if word_classes is None else args.class_head(word_classes.n_classes)
    if isinstance(model, EpisodeModel):
        _check_head(model.config.meta_head, head)
    else:
        model = add_head(model, args.seed, **head)
    if isinstance(model, MetaCausalLM) and _is_sharded(args):
        raise InputError("FSDP and DeepSpeed train only Pico models: train this one with DDP")
    return model


def record_episodes(config: PreTrainedConfig, args: MAMLConfig, source: DrawsEpisodes[Any]) -> None:
    """Write to a model's configuration what evaluation reads from a checkpoint.

    The task classes that an earlier run trained on, from which this one goes on, stay in the record.
    """
    trained = trained_classes(config.to_dict())
    config.episode = {
        "hybrid_ratio": args.hybrid_ratio,
        "first_order": args.first_order,
        **args.settings_to_record(),
    }
    if args.class_episodes:
        config.episode |= {"episode_labels": args.episode_labels, "classes_seed": args.seed}
    if isinstance(source, TaskEpisodeSource):
        trained = merged(trained, source.classes)
        config.episode["task_window"] = args.task_window
    if trained:
        config.episode[TRAINED] = trained


def new_source(
    args: MAMLConfig, tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, word_classes: WordClasses | None
) -> DrawsEpisodes[Any]:
    """Return what draws the episodes of a run: from words, labelled tasks beside them, or classes of words.

    Raises:
        InputError: class_layer is beyond the model's layers.
    """
    if args.class_episodes != (word_classes is not None):
        raise ValueError(f"episode_classes is {args.episode_classes}: word_classes go with classes of words alone")
    if word_classes is None:
        words = load_words(tokenizer, config.vocab_size, args.held_out_rule)
        source = EpisodeSource(args, words, mask_id(tokenizer))
        return TaskEpisodeSource(args, source, tokenizer) if args.task_files else source
    if args.class_layer > (layers := config.num_hidden_layers):
        raise InputError(f"class_layer is {args.class_layer}, but the model has {layers} layers: lower it")
    if args.episode_labels == "shuffled":
        word_classes = word_classes.shuffled(args.seed)
    training, _ = spelling_table(tokenizer, config.vocab_size, args.held_out_rule).split(args.held_out_words)
    trained, _ = word_classes.split_classes(args.held_out_classes)
    return ClassEpisodeSource(args, training, trained, args.class_width or config.hidden_size)


def _is_sharded(args: MAMLConfig) -> bool:
    launched = parse_flag_from_env("ACCELERATE_USE_FSDP") or parse_flag_from_env("ACCELERATE_USE_DEEPSPEED")
    return bool(args.fsdp or args.deepspeed or launched)


def _check_head(head: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise InputError unless a model's head has the arguments of the run's."""
    if ("projection" in head) != ("projection" in wanted):
        kind, other = ("classes of words", "words") if "projection" in head else ("words", "classes of words")
        raise InputError(f"the model's head tells {kind}, but the run's {other}: start from a model without a head")
    if head["ways"] != wanted["ways"]:
        counted, remedy = ("n_way", "set n_way to that, or ") if "projection" not in head else ("class_count", "")
        raise InputError(
            f"{counted} is {wanted['ways']}, but the model's head has {head['ways']} classes: "
            f"{remedy}start from a model without a head"
        )
    arguments = ("layers", "hidden_dim", "learned_lr_steps", "projection")
    names = [name for name in arguments if head.get(name, 0) != wanted.get(name, 0)]
    if names:
        changes = ", ".join(f"{name} {head.get(name)} -> {wanted[name]}" for name in names)
        raise InputError(f"the model's head has other arguments: {changes}; start from a model without a head")
