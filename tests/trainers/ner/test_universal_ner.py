import http.server
import json
import os
import subprocess
import sys
import threading
from functools import partial
from hashlib import sha1, sha256
from pathlib import Path

import pytest

from pico_maml._caches import CACHES
from pico_maml.trainers import InputError, load_treebank
from pico_maml.trainers.ner import universal_ner
from pico_maml.trainers.ner.iob2 import LABELS
from pico_maml.trainers.ner.treebank import describe
from pico_maml.trainers.ner.universal_ner import ALL, FACTS, GROUPS, OTHER, PUD, SEEN, TREEBANKS

GOOD = b"# sent_id = 1\n1\tAnn\tB-PER\t-\t-\n2\tsaw\tO\t-\t-\n\n1\tRio\tI-LOC\t-\t-\n"


def facts(name: str, splits: dict[str, bytes]) -> dict:
    """What the package would know of a treebank made up here; dev only by git's blob hash."""
    entries = {}
    for split, content in splits.items():
        suffix = "dev" if split == "validation" else split
        known = {"git_blob_sha1": sha1(b"blob %d\0" % len(content) + content).hexdigest()}
        if split != "validation":
            known["sha256"] = sha256(content).hexdigest()
        entries[split] = {"file": f"{name}-ud-{suffix}.iob2", **known}
    return {"repository": "someone/UNER_X", "commit": f"c{name}", "splits": entries}


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A local stand-in for the download server; `served` holds its files, `requests` what was asked of it."""
    served = tmp_path / "served"
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            requests.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(served)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("PICO_MAML_UNER_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("PICO_MAML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield served, requests
    server.shutdown()


def serve(served, known: dict, splits: dict[str, bytes]) -> None:
    folder = served / known["repository"] / known["commit"]
    folder.mkdir(parents=True)
    for split, content in splits.items():
        (folder / known["splits"][split]["file"]).write_bytes(content)


def test_a_treebank_is_downloaded_once_and_then_read_offline(server, monkeypatch):
    served, requests = server
    splits = {"train": GOOD, "validation": GOOD, "test": GOOD}
    known = facts("xx_new", splits)
    monkeypatch.setitem(FACTS, "xx_new", known)
    serve(served, known, splits)
    first = load_treebank("xx_new")
    assert set(first) == set(splits)
    assert len(requests) == 3
    monkeypatch.setenv("PICO_MAML_UNER_URL", "http://127.0.0.1:1")
    assert load_treebank("xx_new")["train"].to_dict() == first["train"].to_dict()


def test_a_damaged_cache_is_fetched_again(server, tmp_path, monkeypatch):
    served, _ = server
    known = facts("xx_new", {"test": GOOD})
    monkeypatch.setitem(FACTS, "xx_new", known)
    serve(served, known, {"test": GOOD})
    path = universal_ner.fetch("xx_new", "test")
    path.write_bytes(GOOD[:20])
    assert universal_ner.fetch("xx_new", "test").read_bytes() == GOOD
    assert [file.name for file in path.parent.iterdir()] == [path.name], "no temporary file is left"


def test_failed_downloads_and_other_bytes_are_errors(server, tmp_path, monkeypatch):
    served, _ = server
    known = facts("xx_new", {"train": GOOD, "validation": GOOD})
    monkeypatch.setitem(FACTS, "xx_new", known)
    with pytest.raises(InputError, match=r"cannot download http.*404.*uner_dir"):
        load_treebank("xx_new")
    serve(served, known, {"train": GOOD, "validation": GOOD + b"\n"})
    with pytest.raises(InputError, match="does not have the hash of the pinned commit"):
        load_treebank("xx_new")
    assert not list((tmp_path / "cache").rglob("*dev*"))


def test_hashes_of_local_files_are_verified(tmp_path, monkeypatch):
    monkeypatch.setitem(FACTS, "xx_new", facts("xx_new", {"train": GOOD, "test": GOOD}))
    (tmp_path / "xx_new-ud-train.iob2").write_bytes(GOOD)
    assert set(load_treebank("xx_new", tmp_path)) == {"train"}
    (tmp_path / "xx_new-ud-test.iob2").write_bytes(GOOD + b"1\tx\tO\t-\t-\n")
    with pytest.raises(InputError, match="not the test split of xx_new at the pinned commit"):
        load_treebank("xx_new", tmp_path)


def test_all_is_the_union_of_nine_treebanks_and_needs_every_file(tmp_path, monkeypatch):
    splits = dict.fromkeys(("train", "validation", "test"), GOOD)
    for name in SEEN:
        monkeypatch.setitem(FACTS, name, facts(name, splits))
        for split, entry in FACTS[name]["splits"].items():
            (tmp_path / entry["file"]).write_bytes(splits[split])
    union = load_treebank(ALL, tmp_path)
    assert {split: len(rows) for split, rows in union.items()} == dict.fromkeys(splits, 2 * len(SEEN))
    (tmp_path / "hr_set-ud-dev.iob2").unlink()
    with pytest.raises(InputError, match=r"all needs all of hr_set, but .* lacks its validation file"):
        load_treebank(ALL, tmp_path)


def test_there_are_18_treebanks_in_three_groups():
    assert (len(SEEN), len(PUD), len(OTHER), len(TREEBANKS)) == (9, 6, 3, 18)
    assert sum(map(len, GROUPS.values())) == 18
    assert all(len(facts["commit"]) == 40 for facts in FACTS.values())
    assert all(set(FACTS[name]["splits"]) == {"train", "validation", "test"} for name in SEEN)
    assert all(set(FACTS[name]["splits"]) == {"test"} for name in PUD + OTHER)


def test_facts_are_those_of_the_manifest(shared):
    manifest = json.loads((shared / "uner_manifest.json").read_text())
    assert set(manifest) == set(FACTS)
    for name, treebank in manifest.items():
        assert (treebank["repository"], treebank["commit"]) == (FACTS[name]["repository"], FACTS[name]["commit"])
        known = {entry["file"]: entry for entry in FACTS[name]["splits"].values()}
        assert set(known) == set(treebank["files"])
        for file, entry in treebank["files"].items():
            assert known[file]["git_blob_sha1"] == entry["git_blob_sha1"]
            assert known[file].get("sha256") == entry.get("sha256")


def test_files_of_universal_ner_have_the_known_counts(shared):
    checked = inside = 0
    for name in TREEBANKS:
        if not list((shared / "uner").glob(f"{name}-ud-*")):
            continue
        for split, rows in load_treebank(name, shared / "uner").items():
            counts, known = describe(rows), FACTS[name]["splits"][split]
            assert (counts["sentences"], counts["tokens"]) == (known["sentences"], known["tokens"]), (name, split)
            assert {label: counts[label] for label in known["entities"]} == known["entities"], (name, split)
            assert rows.features["ner_tags"].feature.names == list(LABELS)
            inside += counts["inside_without_begin"]
            checked += 1
    assert checked == 18
    assert inside > 0, "a few I- tags of the real files stand without their B-"


@pytest.fixture
def breaking(tmp_path, monkeypatch):
    """A server that breaks off its first `breaks` answers, below a path with a space; yields `breaks` as a list."""
    breaks = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path.startswith("/my%20mirror/someone/")
            self.send_response(200)
            self.send_header("Content-Length", str(len(GOOD)))
            self.end_headers()
            self.wfile.write(GOOD[:30] if breaks and breaks.pop() else GOOD)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("PICO_MAML_UNER_URL", f" http://127.0.0.1:{server.server_port}/my mirror/ ")
    monkeypatch.setenv("PICO_MAML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setitem(FACTS, "xx_new", facts("xx_new", {"test": GOOD}))
    yield breaks
    server.shutdown()


def test_a_download_that_breaks_off_is_tried_again_and_a_mirror_may_have_a_space(breaking):
    breaking += [True, True]
    assert universal_ner.fetch("xx_new", "test").read_bytes() == GOOD
    assert breaking == []


def test_a_download_that_always_breaks_off_is_an_error_and_leaves_no_file(breaking, tmp_path):
    breaking += [True] * 3
    with pytest.raises(InputError, match=r"cannot download .*IncompleteRead.*set uner_dir"):
        universal_ner.fetch("xx_new", "test")
    assert not list(tmp_path.rglob("*.iob2*"))


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("PICO_MAML_CACHE", "")
    assert universal_ner.cache_folder() == CACHES / "pico-maml"


def test_without_a_home_folder_caches_are_in_the_folder_of_temporary_files(tmp_path):
    code = (
        "import pwd\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody\n"
        "import pico_maml\n"
        "from datasets import config\n"
        "from huggingface_hub import constants\n"
        "from pico_maml.trainers.ner.universal_ner import cache_folder\n"
        "print(config.HF_DATASETS_CACHE, constants.HF_HOME, cache_folder(), sep='\\n')\n"
    )
    unset = ("HOME", "HF_HOME", "XDG_CACHE_HOME", "HF_DATASETS_CACHE", "PICO_MAML_CACHE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment["TMPDIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert [Path(line).is_relative_to(tmp_path) for line in done.stdout.split()] == [True] * 3
    assert "~" not in done.stdout
