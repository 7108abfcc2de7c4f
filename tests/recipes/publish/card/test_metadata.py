from huggingface_hub import ModelCard
from published_run import settings

from pico_maml.recipes.publish.card.writing import write_card


def test_hub_metadata_holds_every_evaluation(entry, tmp_path):
    write_card(tmp_path, entry, settings())
    data = ModelCard.load(tmp_path / "README.md").data
    values = {(r.task_type, r.dataset_name, r.metric_type): r.metric_value for r in data.eval_results}
    assert values == {
        ("text-generation", "held-out text of lab/books", "perplexity"): round(2.718**3.5, 4),
        ("text-generation", "held-out text of lab/books", "loss"): 3.5,
        ("other", "4-way 2-shot episodes of held-out words of lab/books", "accuracy"): 0.5,
        ("token-classification", "da_ddt", "f1"): 0.53,
    }
    assert data.datasets == ["lab/books"]
    assert data.license == "apache-2.0"
