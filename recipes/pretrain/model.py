"""The model of a pretraining run, and its trainer."""

from transformers import PreTrainedTokenizerBase, set_seed

from ...modeling_pico import PicoForCausalLM
from ...trainers import InputError, MAMLTrainer
from .arguments import PretrainArguments
from .corpus import Corpus
from .tracking import name_run


def new_model(args: PretrainArguments, tokenizer: PreTrainedTokenizerBase) -> PicoForCausalLM:
    """The model that training starts from; equal arguments give equal weights."""
    config = args.model.config()
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    if tokenizer.pad_token_id != tokenizer.eos_token_id:  # the embedding of padding gets no gradient
        config.pad_token_id = tokenizer.pad_token_id
    set_seed(args.training.seed)
    return args.model.model(config)


def new_trainer(args: PretrainArguments, corpus: Corpus) -> MAMLTrainer:
    """The trainer of a new model.

    Raises:
        InputError: the model, the arguments and the corpus do not fit together.
    """
    model = new_model(args, corpus.tokenizer)
    args.dynamics.check(model)
    name_run(args.training, args.model.model_size)
    try:
        return MAMLTrainer(model, args.training, corpus.blocks, corpus.tokenizer)
    except ValueError as error:
        raise InputError(str(error)) from error
