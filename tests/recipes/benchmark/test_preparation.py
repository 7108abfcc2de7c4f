from pico_maml.recipes.benchmark import preparation


def test_three_ways_to_prepare_a_corpus_are_timed_in_turn(monkeypatch):
    made = []
    prepare, mapped = preparation._prepare, preparation._map
    monkeypatch.setattr(preparation, "load_documents", lambda name: [{"text": "the words of a text " * 200}] * 20)

    def kept(way):
        def task(corpus, tokenizer, output):
            way(corpus, tokenizer, output)
            made.append(sorted(path.name for path in output.iterdir()))

        return task

    monkeypatch.setattr(preparation, "_prepare", kept(prepare))
    monkeypatch.setattr(preparation, "_map", kept(mapped))
    measured = preparation.measure_preparation(rounds=3, copies=1)
    assert [ratio["what"] for ratio in measured["ratios"]] == [preparation.PREPARED, preparation.MAPPED]
    assert all(len(rounds) == 3 for rounds in measured["rounds"].values())
    assert len(made) == 8
    assert "manifest.json" in made[0]
    assert "dataset_info.json" in made[1]
