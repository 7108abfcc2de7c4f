"""What an episode of a task is."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_tasks import CLASSES, TEXTS, rows, write_entities, write_tasks

from pico_maml.trainers import InputError
from pico_maml.trainers.episodes import episode_generator
from pico_maml.trainers.tasks.files import Labelled, read_tasks
from pico_maml.trainers.tasks.sampling import sample_task_episode
from pico_maml.trainers.tasks.table import TaskTable


@pytest.fixture(scope="module")
def table(tokenizer, tmp_path_factory) -> TaskTable:
    folder = tmp_path_factory.mktemp("tasks")
    found = read_tasks([write_tasks(folder), write_entities(folder)])
    return TaskTable.from_rows([*found, *found], tokenizer, 16)  # every text twice


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 7), st.integers(1, 5), st.integers(1, 3))
def test_each_class_has_its_shots_and_queries_of_different_texts(table, tokenizer, seed, ways, shots, queries):
    episode = sample_task_episode(table, ways, shots, queries, episode_generator(seed, 0, 0))
    assert episode.ways == len(episode.labels) == min(ways, {**CLASSES, "names": 3}[episode.task])
    known = {(row["task"], row["text"]): row["label"] for row in rows()}
    for n, label in enumerate(episode.labels):
        texts = []
        for examples, count in ((episode.support, shots), (episode.query, queries)):
            mine = examples.labels == n
            assert int(mine.sum()) == count
            texts += examples.documents[mine].tolist()
            for ids, position in zip(examples.ids[mine], examples.positions[mine], strict=True):
                assert not ids[position + 1 :].any(), "filled up after the state that is read"
                if episode.task != "names":
                    assert known[episode.task, tokenizer.decode(ids[: position + 1])] == label
        assert len(set(texts)) == shots + queries
    again = sample_task_episode(table, ways, shots, queries, episode_generator(seed, 0, 0))
    assert torch.equal(again.support.ids, episode.support.ids)
    assert torch.equal(again.query.ids, episode.query.ids)


def test_tasks_and_the_order_of_classes_are_drawn_evenly(table):
    drawn = [sample_task_episode(table, 2, 1, 1, episode_generator(0, i, 0)) for i in range(400)]
    for task in ("two", "four", "six", "names"):
        assert 70 < sum(episode.task == task for episode in drawn) < 130
    first = [episode.labels[0] for episode in drawn if episode.task == "two"]
    assert 0.3 < first.count("c0") / len(first) < 0.7


def test_a_long_text_keeps_its_beginning_and_an_entity_what_stands_before_it(tokenizer):
    words = ("ab", "cd", "ef", "gh", "ij")
    found = [Labelled("t", "x", " ".join(words)), Labelled("n", "y", words, 4)]
    table = TaskTable.from_rows(found, tokenizer, 2)
    assert [tokenizer.decode(ids) for ids in table.ids] == [" ef gh", "ab cd"]  # sorted by task


def test_special_tokens_in_a_text_are_text(tokenizer):
    found = [Labelled("t", "x", f"ab {tokenizer.mask_token}"), Labelled("t", "y", (tokenizer.eos_token, "ab"), 2)]
    ids = TaskTable.from_rows(found, tokenizer, 32).ids
    assert tokenizer.mask_token_id not in ids
    assert tokenizer.eos_token_id not in ids[ids != 0]


def test_classes_with_few_texts_and_tasks_with_one_class_go(table):
    assert table.with_examples(TEXTS).classes().keys() == {*CLASSES, "names"}
    assert table.with_examples(TEXTS + 1).tasks == ()
    selected = table.select({"two": ["c0"], "four": ["c0", "c3"]})
    assert selected.classes() == {"two": ["c0"], "four": ["c0", "c3"]}
    assert selected.with_examples(1).classes() == {"four": ["c0", "c3"]}


def test_several_entities_of_a_sentence_are_one_text(tokenizer):
    found = [Labelled("n", label, ("ab", "cd", "ef"), end) for label in "xy" for end in (1, 2, 3)]
    table = TaskTable.from_rows(found, tokenizer, 4)
    assert table.with_examples(2).tasks == ()
    assert table.with_examples(1).classes() == {"n": ["x", "y"]}


def test_a_text_without_a_token_is_an_error(tokenizer, monkeypatch):
    with pytest.raises(InputError, match="no token for ''"):
        TaskTable.from_rows([Labelled("t", "x", "")], tokenizer, 4)
