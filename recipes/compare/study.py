"""A study: its arms, runs, measures and tests, checked before anything runs."""

import re
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from ...trainers import InputError
from ...trainers.meta.episode_config import of_word_episodes
from ..arguments.parser import argument_list, parse
from ..pretrain.arguments import TYPES as PRETRAIN_TYPES
from ..pretrain.arguments import PretrainArguments
from .arguments import CompareArguments, mapping
from .measures import FollowUp

MOST_PRIMARY = 6
NAME = re.compile(r"[\w.-]+")
TEST = re.compile(r"(?P<arm>[\w.-]+) vs (?P<control>[\w.-]+): (?P<measure>\S+)")
# Which the study itself decides.
OWN_ARGUMENTS = {"seed", "output_dir", "resume", "publish_to"}
# And those that must not differ between arms.
SHARED_ARGUMENTS = {"data_seed", "max_steps", "num_train_epochs"}
# Arguments that name the training text.
TRAINING_TEXT = ("dataset", "dataset_config", "dataset_split", "dataset_revision", "text_column", "mixture")
REMEDY = ": give seeds, budget and output_dir of the study, and publish finished runs with `publish`"


@dataclass(frozen=True)
class Arm:
    """A way of pretraining: its name, its arguments of `pretrain`, and the arms it is compared with."""

    name: str
    argv: tuple[str, ...]
    controls: tuple[str, ...]

    def arguments(self, argv: list[str] | None = None) -> PretrainArguments:
        """The arguments of its runs, with `argv` on top."""
        here = ["--output_dir", "unused"]
        if not torch.cuda.is_available():  # as on the login node of a cluster; runs are started without it
            here.append("--use_cpu=true")
        return PretrainArguments(*parse(PRETRAIN_TYPES, [*self.argv, *here, *(argv or [])], prog="pretrain"))


@dataclass(frozen=True)
class Run:
    """A pretraining run: an arm with a seed and a share of the budget, and all that is measured of it."""

    arm: str
    seed: int
    share: float

    @property
    def name(self) -> str:
        """Name of its folder and its result."""
        return f"{self.arm}-{self.seed}" + ("" if self.share == 1 else f"-{self.share:g}")

    def describe(self) -> dict[str, Any]:
        """The first entries of its result file."""
        return {"arm": self.arm, "seed": self.seed, "share": self.share}


@dataclass(frozen=True)
class Contrast:
    """A treatment against a control in one measure."""

    arm: str
    control: str
    measure: str


@dataclass(frozen=True)
class Study:
    """A checked study."""

    args: CompareArguments
    arms: dict[str, Arm]
    margins: dict[str, float]
    primary: tuple[Contrast, ...]
    follow_up: FollowUp

    @classmethod
    def of(cls, args: CompareArguments) -> "Study":
        """Check the study's arguments; raise InputError for a key, name or value that is wrong."""
        shared = mapping("arguments", args.arguments)
        if own := OWN_ARGUMENTS & set(shared):
            raise InputError(f"arguments: {', '.join(sorted(own))} differ from run to run{REMEDY}")
        follow_up = FollowUp(*(mapping(name, getattr(args, name)) for name in ("adaptation", "ner", "few_shot")))
        arms = {name: _arm(name, entry, args.base, shared) for name, entry in mapping("arms", args.arms).items()}
        _check_controls(arms)
        for arm in arms.values():
            arm.arguments().check()
        follow_up.check()
        margins = follow_up.margins(mapping("measures", args.measures))
        study = cls(args, arms, margins, tuple(map(_test, args.primary)), follow_up)
        study._check_losses()
        study._check_words()
        study._check_tests()
        return study

    @property
    def control(self) -> Arm:
        """The arm without a control, which sets the budget."""
        return next(arm for arm in self.arms.values() if not arm.controls)

    def runs(self) -> list[Run]:
        """All runs: whole seeds first, so that a study that is stopped has pairs; the full budget before parts."""
        shares = sorted(self.args.budgets, reverse=True)
        return [Run(arm, seed, share) for share, seed, arm in product(shares, self.args.seeds, self.arms)]

    def tests(self) -> list[Contrast]:
        """Every arm against its controls in every measure, the primary ones first."""
        pairs = [(arm.name, control) for arm in self.arms.values() for control in arm.controls]
        every = [Contrast(*pair, measure) for pair, measure in product(pairs, self.margins)]
        return [*self.primary, *(test for test in every if test not in self.primary)]

    def evaluation(self) -> list[str]:
        """Arguments of `evaluate` that are the same for every arm, so that all are measured on the same episodes.

        What `adaptation` does not say is as in the control's training.
        """
        if not self.follow_up.adaptation:
            return ["--episodes=0"]
        settings = of_word_episodes(self.control.arguments().training.episode_settings())
        own = {name: value for name, value in settings.items() if name != "episode_documents"}
        return argument_list({name: str(value) for name, value in own.items()} | self.follow_up.adaptation)

    def _check_losses(self) -> None:
        """Raise InputError if a loss is a measure and arms would have it on other text or in other tokens."""
        if not any(measure.split("/")[0] == "loss" for measure in self.margins):
            return
        control = _measured(self.control)
        for arm in self.arms.values():
            measured = _measured(arm)
            if other := sorted(name for name in control | measured if control.get(name) != measured.get(name)):
                raise InputError(
                    f"arm {arm.name!r}: its loss would be of other text or tokens than that of {self.control.name!r} "
                    f"({', '.join(other)}): set these in `arguments`, give all arms one tokenizer and eval_dataset, "
                    "or leave loss out of the measures"
                )

    def _check_words(self) -> None:
        """Raise InputError if arms held out other words, since some would be evaluated on words they trained."""
        found = {}
        for arm in [self.control, *self.arms.values()]:
            training = arm.arguments().training
            if arm is self.control or training.hybrid_ratio > 0:
                found[training.held_out_rule, training.held_out_words] = arm.name
        if self.follow_up.adaptation and len(found) > 1:
            rules = ", ".join(f"{name} by {rule} {share}" for (rule, share), name in found.items())
            raise InputError(
                f"arms hold out different words ({rules}): set held_out_rule and held_out_words in `arguments`, which "
                "all arms share"
            )

    def _check_tests(self) -> None:
        if len(self.primary) > MOST_PRIMARY:
            raise InputError(f"{len(self.primary)} primary tests, at most {MOST_PRIMARY}: make the others exploratory")
        if len(set(self.primary)) < len(self.primary):
            raise InputError("a primary test is named twice")
        for test in self.primary:
            arm = self.arms.get(test.arm)
            if arm is None or test.control not in arm.controls or test.measure not in self.margins:
                raise InputError(
                    f"primary test '{test.arm} vs {test.control}: {test.measure}': name an arm, one of its controls, "
                    "and one of the measures"
                )


def _measured(arm: Arm) -> dict[str, Any]:
    """What the held-out text and the tokens of an arm's loss depend on."""
    args = arm.arguments()
    corpus, tokenizer = vars(args.corpus), args.model.tokenizer or args.model.init_from
    training = {name: corpus[name] for name in TRAINING_TEXT}
    text = {name: corpus[name] for name in ("eval_dataset", "eval_split")}
    if args.corpus.eval_dataset is None:
        text |= training | {name: corpus[name] for name in ("eval_fraction", "split_by")}
    # Without a name the tokenizer is trained on the training text.
    tokens = {"tokenizer": tokenizer} if tokenizer else training | {"vocab_size": args.model.config().vocab_size}
    return text | tokens | {"block_size": args.corpus.block_size}


def _arm(name: str, entry: Any, base: list[str], shared: dict[str, Any]) -> Arm:
    entry = entry or {}
    known = {"recipes", "arguments", "control"}
    if not NAME.fullmatch(name) or not isinstance(entry, dict) or set(entry) - known:
        raise InputError(
            f"arm {name!r}: an arm has a name of letters, digits, - and _, and {', '.join(sorted(known))}"
        )
    arguments = shared | (entry.get("arguments") or {})
    if own := (OWN_ARGUMENTS | SHARED_ARGUMENTS) & set(entry.get("arguments") or {}):
        raise InputError(f"arm {name!r}: {', '.join(sorted(own))} are the same for all arms, or of each run{REMEDY}")
    recipes = [*base, *_names(entry.get("recipes"))]
    return Arm(name, ("--config", *recipes, *argument_list(arguments)), tuple(_names(entry.get("control"))))


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) and value else list(value or [])


def _check_controls(arms: dict[str, Arm]) -> None:
    roots = [arm.name for arm in arms.values() if not arm.controls]
    if len(roots) != 1 or len(arms) < 2:
        raise InputError(f"a study has two or more arms, exactly one of them without control; without: {roots}")
    for arm in arms.values():
        for control in arm.controls:
            if control not in arms or control == arm.name:
                raise InputError(f"arm {arm.name!r}: control {control!r} is no other arm of {', '.join(arms)}")


def _test(text: str) -> Contrast:
    match = TEST.fullmatch(text)
    if match is None:
        raise InputError(f"a primary test is 'ARM vs CONTROL: MEASURE', got {text!r}")
    return Contrast(**match.groupdict())
