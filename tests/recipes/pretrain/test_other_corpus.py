"""A run whose corpus was edited, or copied, since it began."""

import json
import os
import shutil
from pathlib import Path

import pytest
from pretrain_run import argv

from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import InputError


def test_a_run_resumes_with_an_edited_corpus_only_if_told_to(text, tmp_path):
    corpus, out = tmp_path / "text.txt", tmp_path / "out"
    corpus.write_text("\n\n".join(text))
    shutil.copy(corpus, tmp_path / "eval.txt")
    options = {"save_total_limit": 1, "eval_episodes": 0, "eval_dataset": tmp_path / "eval.txt"}
    pretrain.main(argv(out, corpus, max_steps=2, **options))
    files = sorted(path.name for path in out.iterdir())

    def edit(path: Path) -> None:
        """Swap two words, which leaves size and times as they were."""
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        first, second, rest = path.read_text().split(" ", 2)
        path.write_text(f"{second} {first} {rest}")
        os.utime(path, ns=times)

    def resume(steps: int, **more) -> dict:
        return pretrain.main(argv(out, corpus, max_steps=steps, resume=True, **options, **more))

    for name in ("text.txt", "eval.txt"):
        edit(tmp_path / name)
    with pytest.raises(InputError, match=r"dataset '.*text.txt' and eval_dataset '.*eval.txt' changed since the run"):
        resume(4)
    edit(tmp_path / "eval.txt")
    with pytest.raises(InputError, match=r"^dataset '.*text.txt' changed since .*resume with --other_corpus"):
        resume(4)
    assert sorted(path.name for path in out.iterdir()) == files
    assert resume(4, other_corpus=True)["steps"] == 4
    edit(corpus)
    os.utime(corpus)
    assert resume(6)["steps"] == 6, "the same text with another time"
    arguments = json.loads((out / "arguments.json").read_text())
    del arguments["corpus_hash"]
    (out / "arguments.json").write_text(json.dumps(arguments))
    edit(corpus)
    assert resume(8)["steps"] == 8, "a run of an earlier version, which recorded no hash"
