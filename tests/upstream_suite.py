"""transformers' own tests of models and configurations, run on the Pico classes in a process of their own.

`modeling_pico/test_upstream_suite.py` starts it with the folder that `upstream_mixins.fetch` returns on PYTHONPATH.
"""

import unittest
from unittest import mock

import torch
from transformers import set_seed
from transformers.models.auto import modeling_auto
from transformers_tests import test_configuration_common as configuration
from transformers_tests import test_modeling_common as common

from pico_maml import (
    PicoConfig,
    PicoForCausalLM,
    PicoForSequenceClassification,
    PicoForTokenClassification,
    PicoModel,
)


class PicoModelTester:
    """The small configuration and the inputs that the mixin needs."""

    batch_size, seq_length, vocab_size = 4, 7, 99
    hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads = 32, 2, 4, 2
    is_training = True

    def __init__(self, parent):
        self.parent = parent

    def get_config(self) -> PicoConfig:
        return PicoConfig(
            vocab_size=self.vocab_size,
            d_model=self.hidden_size,
            n_layers=self.num_hidden_layers,
            attention_n_heads=self.num_attention_heads,
            attention_n_kv_heads=self.num_key_value_heads,
            activation_hidden_dim=64,
            max_seq_len=64,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            classifier_dropout=0.0,
        )

    def prepare_config_and_inputs_for_common(self):
        set_seed(0)
        ids = torch.randint(3, self.vocab_size, (self.batch_size, self.seq_length))
        return self.get_config(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


# transformers' tests look classes up by name in these tables, which list its own classes only.
TABLES = {
    "MODEL_MAPPING_NAMES": "PicoModel",
    "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES": "PicoForCausalLM",
    "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES": "PicoForSequenceClassification",
    "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES": "PicoForTokenClassification",
}


# Accepted reasons of tests that skip themselves, and why; any other reason fails. Tests that need a GPU, flash
# attention, MPS, kernels, deepspeed or slow runs are skipped by transformers' decorators instead.
SKIPS = {
    "composite": "one decoder, no sub-models",
    "No subconfigs": "one decoder, no sub-models",
    "No conversion found": "tensor names are the published ones, nothing is renamed on load",
    "_keep_in_fp32_modules": "no module stays in fp32",
    "does not support output_attentions": "SDPA returns no attentions; the eager ones are tested",
    "sliding window": "attention is full",
    "does not have position embeddings": "positions are rotary",
    "axial RoPE": "text has one axis",
    "partial rope": "the whole head is rotated",
    "sequence-to-sequence": "a decoder only",
    "prioritized": "transformers runs this test on its own models only",
    "does not support SDPA": "a branch for composite models",
    "grouped_mm": "no experts",
    "sparse experts": "no experts",
    "output_router_logits": "no experts",
}


class PicoModelTest(common.ModelTesterMixin, common.GenerationTesterMixin, unittest.TestCase):
    all_model_classes = (PicoModel, PicoForCausalLM, PicoForSequenceClassification, PicoForTokenClassification)

    def setUp(self):
        for table, name in TABLES.items():
            self.enterContext(mock.patch.dict(vars(modeling_auto)[table], {"pico_decoder": name}))
        self.model_tester = PicoModelTester(self)
        heads = {"attention_n_heads": 4, "attention_n_kv_heads": 2}
        self.config_tester = configuration.ConfigTester(self, config_class=PicoConfig, d_model=32, **heads)

    def skipTest(self, reason):
        assert any(known in reason for known in SKIPS), f"skipped for an unknown reason: {reason}"
        super().skipTest(reason)

    def test_config(self):
        self.config_tester.run_common_tests()
