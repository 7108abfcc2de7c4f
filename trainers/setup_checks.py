"""Checks, before a run writes anything, of what transformers looks at only when training starts."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, Trainer, TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations
from transformers.optimization import get_scheduler
from transformers.trainer_optimizer import is_optimizer_factory
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from .errors import InputError

# What transformers, torch and the packages of optimizers raise for a wrong value or a missing package.
SETUP_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
# Smallest values of transformers' numbers, which it does not check, or only when training starts.
MINIMA = {
    "learning_rate": 0,
    "weight_decay": 0,
    "max_grad_norm": 0,
    "neftune_noise_alpha": 0,
    "logging_steps": 0,
    "eval_steps": 0,
    "save_steps": 0,
    "num_train_epochs": 0,
    "warmup_steps": 0,
    "dataloader_num_workers": 0,
    "dataloader_prefetch_factor": 1,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
}


def check_setup(
    args: TrainingArguments,
    model_class: type[PreTrainedModel],
    config: PreTrainedConfig,
    schedule_options: Callable[[int], dict[str, Any]] | None = None,
) -> None:
    """Raise InputError if the optimizer, the schedule or the trackers of the arguments cannot be made for a model.

    `schedule_options` returns the arguments of the schedule for a number of steps (unset: `lr_scheduler_kwargs`).
    """
    _check_trackers(args)
    if args.use_liger_kernel:
        raise InputError("use_liger_kernel has no kernels for Pico models: leave it false")
    with torch.device("meta"):
        model = model_class(config)  # a twin without memory, because some optimizers leave hooks on the model
    scrap = nn.Parameter(torch.zeros(1, 1))
    try:
        optimizer_class, options = Trainer.get_optimizer_cls_and_kwargs(args, model)
        if not is_optimizer_factory(optimizer_class) and not {"params", "model", "optimizer_dict"} & options.keys():
            optimizer_class([scrap], **options)
    except SETUP_ERRORS as error:
        raise InputError(
            f"optim {OptimizerNames(args.optim).value}, optim_args and the values of Adam: {_reason(error)}"
        ) from error
    steps = args.max_steps if args.max_steps > 0 else 100
    options = args.lr_scheduler_kwargs if schedule_options is None else schedule_options(steps)
    try:
        get_scheduler(
            args.lr_scheduler_type,
            optimizer=torch.optim.SGD([scrap], lr=args.learning_rate),
            num_warmup_steps=args.get_warmup_steps(steps),
            num_training_steps=steps,
            scheduler_specific_kwargs=options,
        )
    except SETUP_ERRORS as error:
        raise InputError(
            f"lr_scheduler_type {SchedulerType(args.lr_scheduler_type).value} with lr_scheduler_kwargs "
            f"{args.lr_scheduler_kwargs}: {_reason(error)}"
        ) from error


def check_numbers(args: TrainingArguments) -> None:
    """Raise InputError for a number that no training takes."""
    for name, minimum in MINIMA.items():
        value = vars(args)[name]
        if value is not None and not minimum <= value < math.inf:
            raise InputError(f"{name} must be a finite number of at least {minimum}, got {value}")
    for name in ("seed", "data_seed"):
        value = vars(args)[name]
        if value is not None and not 0 <= value < 2**32:
            raise InputError(f"{name} must be at least 0 and below 2**32, got {value}")


def _check_trackers(args: TrainingArguments) -> None:
    names = {args.report_to} if isinstance(args.report_to, str) else set(args.report_to or ())
    names -= {"none", "all", "flyte"}
    if not names:
        return  # because transformers imports wandb, which takes a second, to see whether it is there
    available = get_available_reporting_integrations()
    for name in sorted(names):
        if name not in available:
            raise InputError(f"report_to {name} needs the package {name}: pip install {name}, or leave it out")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
