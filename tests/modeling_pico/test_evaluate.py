"""The evaluators of the library `evaluate` with Pico models; its metrics need the Hub, so these are defined here."""

import pytest
import torch
from datasets import Dataset, Features, Sequence, Value
from seqeval.metrics import f1_score
from transformers import pipeline

from pico_maml import PicoForTokenClassification

evaluate = pytest.importorskip("evaluate", reason="needs the library evaluate (it comes with the extra lm-eval)")


class MeanLength(evaluate.Measurement):
    """Mean number of characters."""

    def _info(self):
        features = Features({"data": Value("string")})
        return evaluate.MeasurementInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, data):
        return {"characters": sum(map(len, data)) / len(data)}


class EntityF1(evaluate.Metric):
    """seqeval's micro-F1 over entities."""

    def _info(self):
        features = Features({name: Sequence(Value("string")) for name in ("predictions", "references")})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references):
        return {"f1": float(f1_score(references, predictions))}


def test_the_text_generation_evaluator_scores_what_the_pipeline_writes(model, tokenizer):
    # A model, not a pipeline: evaluate 0.4.6 asks for a class of TensorFlow's that transformers 5 no longer has.
    model.generation_config.update(max_new_tokens=3, do_sample=False)
    data = Dataset.from_dict({"text": ["ab cd", "ef gh ij"]})
    evaluator = evaluate.evaluator("text-generation")
    result = evaluator.compute(model, data=data, tokenizer=tokenizer, metric=MeanLength())
    pipe = pipeline("text-generation", model, tokenizer=tokenizer)
    written = [pipe(prompt)[0]["generated_text"] for prompt in data["text"]]
    assert result["characters"] == sum(map(len, written)) / 2 > len("ab cdef gh ij") / 2


def test_the_token_classification_evaluator_scores_the_predicted_tags(config, tokenizer):
    config.id2label = dict(enumerate(["O", "B-PER", "B-LOC"]))
    config.label2id = {label: i for i, label in config.id2label.items()}
    torch.manual_seed(0)
    tagger = PicoForTokenClassification(config).eval()
    words = [["ab", "cd", "ef"], ["gh", "ij"]]
    predicted = []
    for row in words:
        sentence = " ".join(row)
        encoded = tokenizer(sentence, return_tensors="pt", return_offsets_mapping=True)
        begins = [begin for begin, _ in encoded.pop("offset_mapping")[0].tolist()]
        starts = [begins.index(sentence.index(word)) for word in row]  # a word is read at its first token
        labels = tagger(**encoded).logits[0].argmax(-1).tolist()
        predicted.append([config.id2label[labels[start]] for start in starts])
    assert {label for row in predicted for label in row} > {"O"}
    wrong = [[{"O": "B-PER"}.get(label, "O") for label in row] for row in predicted]
    for tags, expected in ((predicted, 1.0), (wrong, 0.0)):
        data = Dataset.from_dict({"tokens": words, "ner_tags": tags})
        evaluator = evaluate.evaluator("token-classification")
        result = evaluator.compute(tagger, data=data, tokenizer=tokenizer, metric=EntityF1())
        assert result["f1"] == expected
