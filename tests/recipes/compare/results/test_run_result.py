import json

import pytest
from report_runs import write_run

from pico_maml.recipes.compare.results.run_result import read_result


def test_what_is_counted_before_the_first_step_is_spent_once(tmp_path):
    spent = []
    for name, counting in (("plain", 0.0), ("classes", 40.0)):
        path = write_run(tmp_path / name, steps=300)
        rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        for row in rows:
            if "training_cpu_seconds" in row:
                row["sampling_cpu_seconds"] = 0.1 * row["step"]
                row["training_cpu_seconds"] += counting
                row |= {"counting_cpu_seconds": counting} if counting else {}
        # The last log lies ten steps before the end.
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows if row["step"] < 300))
        counts = {"steps": 300, "tokens_seen": 300_000, "next_token_tokens": 150_000, "episodes": 300}
        (path / "results.json").write_text(json.dumps(counts))
        (path / "evaluation.json").write_text(json.dumps({"next_token_loss": 3.0}))
        spent.append(read_result(path, 1e6, [])["spent"])
    plain, classes = spent
    assert plain["seconds"] == pytest.approx(600)
    assert classes["seconds"] == pytest.approx(640)
    assert classes["flops"] - plain["flops"] == pytest.approx(40e6)
    assert classes["tokens"] == plain["tokens"]
