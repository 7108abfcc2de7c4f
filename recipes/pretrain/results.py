"""The results of a finished run: counts, held-out perplexity and the accuracy of adaptation."""

from typing import Any

from ...trainers import MAMLTrainer
from ...trainers.corpus import mask_id
from ...trainers.meta import EpisodeModel, add_head
from ...trainers.meta.adaptation import evaluate_adaptation
from .arguments import PretrainArguments
from .corpus import Corpus
from .new_model import new_model


def evaluate(trainer: MAMLTrainer, args: PretrainArguments, corpus: Corpus) -> dict[str, Any]:
    """Results of the trained model, beside the adaptation of the untrained one."""
    before = after = any_documents = None
    if args.run.eval_episodes > 0:
        # The untrained model is made again here, so that training need not wait for its evaluation.
        untrained = new_model(args, corpus.tokenizer, corpus.start)
        untrained = add_head(untrained, args.training.seed, **args.training.head())
        before = adaptation(untrained.to(args.training.device), args, corpus)
        after = adaptation(trainer.model, args, corpus)
        any_documents = adaptation(trainer.model, args, corpus, "any")
    return {
        "steps": trainer.state.global_step,
        **trainer.counts,
        **trainer.mixture.total(),
        "held_out": [entry for entry in trainer.state.log_history if "eval_perplexity" in entry],
        "adaptation_before_training": before,
        "adaptation": after,
        "adaptation_any_documents": any_documents,
    }


def adaptation(
    model: EpisodeModel, args: PretrainArguments, corpus: Corpus, rule: str = "different"
) -> dict[str, Any]:
    """Accuracies on held-out episodes by a rule of `episode_documents`, whichever training drew them by.

    Those of the trained head are measured only if episodes trained it.
    """
    training, (blocks, documents) = args.training, corpus.held_out.for_episodes()
    return evaluate_adaptation(
        model,
        blocks,
        corpus.words,
        mask_id(corpus.tokenizer),
        training.with_documents(rule),
        args.run.eval_episodes,
        training.seed,
        training.hybrid_ratio > 0,
        documents,
    ).figures()
