import json

import pytest
from datasets import Dataset

TEXTS = [f"document number {i} with a few words in it" for i in range(200)]


@pytest.fixture
def texts() -> list[str]:
    return TEXTS


@pytest.fixture(params=["txt", "jsonl", "parquet", "folder"])
def corpus_path(request, tmp_path) -> str:
    """The same 200 documents in each format."""
    if request.param == "txt":
        path = tmp_path / "corpus.txt"
        path.write_text("\n\n".join(TEXTS))
    elif request.param == "jsonl":
        path = tmp_path / "corpus.jsonl"
        path.write_text("".join(json.dumps({"text": text, "id": 1}) + "\n" for text in TEXTS))
    elif request.param == "parquet":
        path = tmp_path / "corpus.parquet"
        Dataset.from_dict({"text": TEXTS}).to_parquet(str(path))
    else:
        path = tmp_path / "folder"
        path.mkdir()
        (path / "a.txt").write_text("\n\n".join(TEXTS[:50]))
        (path / "b.txt").write_text("\n\n".join(TEXTS[50:]))
    return str(path)
