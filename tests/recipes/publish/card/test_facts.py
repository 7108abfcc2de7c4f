from pico_maml.recipes.publish.card.facts import read_facts


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
