"""pico-maml: pretrain small decoders with MAML episodes between next-token steps, and watch them learn.

Importing the package registers the Pico classes with transformers' Auto classes, which then load every Pico
checkpoint, with peft, if it is installed, and the pipeline `pico-ner`, which finds entities as `predict` does.
"""

from importlib.util import find_spec

# First: the libraries below read the environment that _caches sets, and a command may only have to print its help.
from . import _caches, _start  # noqa: F401

# isort: split

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
)
from transformers.pipelines import PIPELINE_REGISTRY

from ._version import __version__
from .modeling_pico import (
    PicoConfig,
    PicoForCausalLM,
    PicoForSequenceClassification,
    PicoForTokenClassification,
    PicoModel,
)
from .modeling_pico.pipeline_pico import PicoNERPipeline

AutoConfig.register(PicoConfig.model_type, PicoConfig, exist_ok=True)
AutoModel.register(PicoConfig, PicoModel, exist_ok=True)
AutoModelForCausalLM.register(PicoConfig, PicoForCausalLM, exist_ok=True)
AutoModelForSequenceClassification.register(PicoConfig, PicoForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(PicoConfig, PicoForTokenClassification, exist_ok=True)
PIPELINE_REGISTRY.register_pipeline("pico-ner", PicoNERPipeline, pt_model=AutoModelForTokenClassification, type="text")

# Trainer and pipelines tell a model's kind by its name: label smoothing shifts the labels of language models only.
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[PicoConfig.model_type] = PicoForCausalLM.__name__
MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES[PicoConfig.model_type] = PicoForSequenceClassification.__name__
MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES[PicoConfig.model_type] = PicoForTokenClassification.__name__

if find_spec("peft") is not None:
    from .modeling_pico.peft_pico import register_with_peft

    register_with_peft()

__all__ = [
    "PicoConfig",
    "PicoForCausalLM",
    "PicoForSequenceClassification",
    "PicoForTokenClassification",
    "PicoModel",
    "__version__",
]
