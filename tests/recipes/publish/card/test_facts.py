from dataclasses import replace

from published_run import settings

from pico_maml.recipes.publish.card.facts import read_facts
from pico_maml.recipes.publish.card.metadata import metadata
from pico_maml.recipes.publish.card.writing import shown_arguments


def test_facts_of_earlier_weights_hold_no_later_values_or_results(entry):
    facts = read_facts(entry, weights_step=2)
    assert facts.newest("eval_next_token_loss") == 3.0
    assert facts.run.results == {}
    assert facts.run.ner == {}
    curve = facts.run.curve("eval_next_token_loss")
    assert (list(curve["step"]), list(curve["value"])) == ([2, 4], [3.0, 3.5])


def test_facts_of_the_entrys_own_weights_hold_all_results(entry):
    facts = read_facts(entry, weights_step=4)
    assert facts.newest("eval_next_token_loss") == 3.5
    assert facts.run.results["steps"] == 4
    assert list(facts.run.ner) == ["ner"]
    assert facts.newest("never_logged") is None


def test_facts_name_every_source_of_a_mixture_but_no_folder_of_this_machine(entry):
    facts = read_facts(entry)
    mixture = {"books": {"dataset": "/home/me/books.jsonl", "weight": 3}, "web": {"dataset": "lab/web", "weight": 1}}
    mixed = replace(facts, run=replace(facts.run, arguments={"dataset": "python-prose", "mixture": mixture}))
    assert mixed.corpus == "a mixture of books.jsonl (75%) and lab/web (25%)"
    assert (mixed.hub_dataset, metadata(mixed, settings()).datasets) == (None, ["lab/web"])
    assert "/home" not in shown_arguments(mixed)["mixture"]
    assert '"books.jsonl"' in shown_arguments(mixed)["mixture"]
