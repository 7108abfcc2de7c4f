import pytest
import torch

from pico_maml.trainers import InputError
from pico_maml.trainers.meta.adaptation import adaptation_table, evaluate_adaptation
from pico_maml.trainers.meta.episode_config import EpisodeConfig
from pico_maml.trainers.meta.meta_model import PicoForMetaCausalLM

SHAPE = {"n_way": 3, "k_shot": 2, "episode_window": 8, "readout": "previous", "word_max_frequency": 1.0}


@pytest.fixture
def pool(blocks) -> torch.Tensor:
    return torch.as_tensor(blocks[:60]["input_ids"])[:, :-1].long()


@pytest.fixture
def meta(model) -> PicoForMetaCausalLM:
    return PicoForMetaCausalLM.from_causal_lm(model, 0, ways=5, layers=2, hidden_dim=16)


def evaluate(meta, pool, words, episodes=12, trained_head=True, documents=None, **changes):
    config = EpisodeConfig(**{**SHAPE, **changes})
    return evaluate_adaptation(meta, pool, words, 2, config, episodes, 1, trained_head, documents)


def test_evaluation_changes_nothing_and_repeats_with_the_same_seed(meta, pool, words):
    before = {name: p.clone() for name, p in meta.state_dict().items()}
    meta.train()
    state = torch.get_rng_state()
    one, two = evaluate(meta, pool, words), evaluate(meta, pool, words)
    assert one == two
    assert meta.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(p, before[name]) for name, p in meta.state_dict().items())


def test_curves_have_a_point_a_step_and_intervals_hold_their_mean(meta, pool, words):
    adaptation = evaluate(meta, pool, words, inner_steps=4)
    assert len(adaptation.trained) == len(adaptation.fresh) == 5
    for accuracy in (*adaptation.trained, *adaptation.fresh, adaptation.prototypes):
        assert accuracy.low < accuracy.mean < accuracy.high
    assert adaptation.chance == pytest.approx(1 / 3)
    assert set(adaptation.differences) == {"fresh - prototypes", "trained - prototypes", "trained - fresh"}
    gap = adaptation.trained[-1].mean - adaptation.fresh[-1].mean
    assert adaptation.differences["trained - fresh"].mean == pytest.approx(gap)
    assert 3 <= adaptation.words <= 12 * 3
    assert 2 <= adaptation.documents <= len(pool)
    assert "3      2   33.3%" in adaptation_table([adaptation])


def test_queries_have_the_answers_behind_the_accuracies(meta, pool, words):
    adaptation = evaluate(meta, pool, words)
    queries = adaptation.queries
    assert list(queries) == ["word", "document", "prototypes", "fresh", "trained"]
    for name, accuracy in (("prototypes", adaptation.prototypes), ("trained", adaptation.trained[-1])):
        assert sum(queries[name]) / len(queries[name]) == pytest.approx(accuracy.mean)
    assert len(set(queries["word"])) == adaptation.words
    assert "queries" not in adaptation.figures()
    assert adaptation.figures()["prototypes"]["mean"] == adaptation.prototypes.mean


def test_intervals_and_counts_go_by_document(meta, pool, words):
    rows = evaluate(meta, pool, words)
    documents = (torch.arange(len(pool)) // 12)[:, None].expand_as(pool)
    by_document = evaluate(meta, pool, words, documents=documents)
    assert by_document.documents <= 5 < rows.documents
    anywhere = evaluate(meta, pool, words, documents=documents, episode_documents="any")
    by_row = evaluate(meta, pool, words, episode_documents="any")
    assert anywhere.prototypes.mean == by_row.prototypes.mean, "the same episodes"
    assert anywhere.prototypes != by_row.prototypes


def test_untrained_heads_and_heads_with_too_few_classes_are_not_evaluated(meta, pool, words):
    adaptation = evaluate(meta, pool, words, trained_head=False)
    assert adaptation.trained is None
    assert adaptation.fresh == evaluate(meta, pool, words).fresh
    assert evaluate(meta, pool, words, n_way=6).trained is None, "fewer classes than n_way"


def test_states_that_name_the_word_are_classified_and_noise_is_not(meta, pool, words, monkeypatch):
    """States that name the next word make every episode easy; states without information leave it at chance."""
    table = torch.randn(len(words.is_word), 32, generator=torch.Generator().manual_seed(0))
    following = {}
    for row in pool:
        for start in range(len(row) - 8):
            following[tuple(row[start : start + 8].tolist())] = row[start + 8]

    class States:
        def __init__(self, oracle: bool) -> None:
            self.oracle = oracle

        def __call__(self, ids, keep_states):
            word = torch.stack([following[tuple(row.tolist())] for row in ids])
            states = table[word] if self.oracle else table[torch.arange(len(ids))]
            return type("Output", (), {"states": states[:, None].expand(-1, ids.shape[1], -1)})

    for oracle in (True, False):
        monkeypatch.setattr(
            PicoForMetaCausalLM, "__call__", lambda self, ids, keep_states, o=oracle: States(o)(ids, 1)
        )
        adaptation = evaluate(meta, pool, words, episodes=40)
        if oracle:
            assert adaptation.prototypes.mean == 1
            assert adaptation.fresh[-1].mean > 0.95 > 0.6 > adaptation.fresh[0].mean
            assert adaptation.trained[-1].mean > 0.95
        else:
            assert adaptation.prototypes.low < 0.5
            assert adaptation.fresh[-1].low < 0.5


def test_held_out_words_and_training_words_are_disjoint(words, pool):
    training, held_out = words.split(0.3)
    assert not (training.is_word & held_out.is_word).any()
    assert torch.equal(training.is_word | held_out.is_word, words.is_word)
    assert 0.2 < held_out.is_word.sum() / words.is_word.sum() < 0.4
    none = words.split(0.0)[1]
    assert not none.is_word.any()


def test_too_few_words_and_too_many_inner_steps_are_input_errors(meta, pool, words, model):
    with pytest.raises(InputError, match=r"n_way is 3, but a pool of 60 blocks holds 0 words"):
        evaluate(meta, pool, words.split(0.0)[1])
    learned = PicoForMetaCausalLM.from_causal_lm(model, 0, ways=5, layers=2, hidden_dim=16, learned_lr_steps=3)
    with pytest.raises(InputError, match="inner_steps is 10, but learning rates were learned for 3"):
        evaluate(learned, pool, words)
