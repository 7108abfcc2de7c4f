"""Tokenize a corpus once, into packed shards that training streams and resumes in constant time.

    python -m pico_maml.recipes.prepare --dataset books/ --tokenizer runs/demo --output_dir packed --workers 4
    python -m pico_maml.recipes.pretrain --dataset packed/train --eval_dataset packed/validation --streaming ...

Shards are independent: after an interruption only the missing ones are written, and the files do not depend on the
number of workers, which may be SLURM jobs. `manifest.json` holds the SHA-256 and the counts of each.
"""

import shutil
from pathlib import Path
from typing import Any

from datasets import IterableDataset, disable_progress_bars
from huggingface_hub import HfApi
from transformers import PreTrainedTokenizerBase

from ...trainers.corpus import load_tokenizer, train_tokenizer
from ...trainers.corpus.documents import Documents
from ...trainers.corpus.held_out import HeldOut
from ...trainers.errors import InputError, PublishError
from ...trainers.hub import explain
from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.folder import check_free_or_same, claimed
from ...trainers.runs.json_files import read_json, write_json
from ...trainers.runs.launcher import launch
from ..arguments.parser import parse
from .arguments import PrepareArguments
from .dataset_card import dataset_card
from .shards import PROGRESS, TOKENIZER, Plan, check_shard, pack_held_out, work

MANIFEST, ARGUMENTS = "manifest.json", f"{PROGRESS}/{ARGUMENTS_FILE}"
COUNTS = ("documents", "tokens", "held_out_documents", "held_out_tokens")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the command; returns the manifest."""
    (args,) = parse((PrepareArguments,), argv, prog="prepare")
    disable_progress_bars()
    folder = Path(args.output_dir)
    if (folder / MANIFEST).exists():
        check_prepared(args, folder)
    else:
        with claimed(folder):
            prepare(args, folder)
    manifest = read_json(folder / MANIFEST)
    for file in manifest["files"]:
        check_shard(folder, file, manifest["vocab_size"])
    counts = manifest["counts"]
    print(
        f"{folder}: {len(manifest['files'])} files, {counts['tokens']:,} tokens to train on, "
        f"{counts['held_out_tokens']:,} held out"
    )
    if args.push_to is not None:
        push(args, args.push_to, folder, manifest)
    return manifest


def check_prepared(args: PrepareArguments, folder: Path) -> None:
    """Raise InputError if a finished folder was prepared from another corpus or with other arguments."""
    before, now = read_json(folder / MANIFEST)["corpus"], args.decisive() | {"dataset": published_name(args.dataset)}
    for name in sorted(before.keys() & now.keys()):
        if before[name] != now[name]:
            raise InputError(
                f"{folder} was prepared with {name} {before[name]!r}, not {now[name]!r}: choose another output_dir"
            )


def published_name(dataset: str) -> str:
    """The name of a corpus in a manifest, which may be published: no path of this machine."""
    return Path(dataset).name if Path(dataset).exists() else dataset


def prepare(args: PrepareArguments, folder: Path) -> None:
    """Write the missing shards, and last the manifest."""
    decisive = args.decisive()
    check_free_or_same(folder, decisive, (), ARGUMENTS)
    if (folder / ARGUMENTS).exists() and "columns" not in read_json(folder / ARGUMENTS):
        raise InputError(
            f"an earlier version began {folder}, whose shards do not hold the document of each token: choose another "
            "output_dir"
        )
    documents = args.documents()
    held_out = HeldOut.of(documents, args.held_out_fraction)
    tokenizer = choose_tokenizer(args, folder, held_out.split(documents)[0])
    write_json(folder / ARGUMENTS, decisive)
    tokenizer.save_pretrained(folder / TOKENIZER)
    streamed = isinstance(documents, IterableDataset)
    parts = documents.num_shards if streamed else -(-len(documents) // args.documents_per_shard)
    plan = Plan(args, folder, parts, held_out)
    write_parts(plan)
    validation = pack_held_out(plan)
    records = plan.records()
    counts = {name: sum(record[name] for record in records) for name in COUNTS}
    if validation is None:
        print(f"the {counts['held_out_tokens']} held-out tokens do not fill a block: raise held_out_fraction")
    manifest = {
        "corpus": {**decisive, "dataset": published_name(args.dataset)},
        "vocab_size": len(tokenizer),
        "counts": counts,
        "files": [file for file in (*(record["shard"] for record in records), validation) if file],
    }
    (folder / "README.md").write_text(dataset_card(manifest, args.license), encoding="utf-8")
    write_json(folder / MANIFEST, manifest)
    shutil.rmtree(folder / PROGRESS)


def choose_tokenizer(args: PrepareArguments, folder: Path, documents: Documents) -> PreTrainedTokenizerBase:
    """The tokenizer given by name, or the one of the interrupted preparation, or one that is trained here."""
    if args.tokenizer is not None:
        return load_tokenizer(args.tokenizer)
    if (folder / TOKENIZER).exists():
        return load_tokenizer(str(folder / TOKENIZER))
    return train_tokenizer((row["text"] for row in documents), args.vocab_size)


def write_parts(plan: Plan) -> None:
    """Write all shards, on several workers if `workers` is above 1.

    Raises:
        InputError: a part failed, or workers died before all were written.
    """
    plan.work.forget_failures(plan.parts)
    args, logs = plan.args, plan.folder / PROGRESS / "logs"
    assert not isinstance(args.slurm, str)  # which `__post_init__` reads
    died = launch(work, (plan,), args.workers, args.launcher, logs, args.slurm, wait=True)
    for part in plan.parts:
        if plan.work.failed(part):
            raise InputError(plan.work.failure(part).partition("InputError: ")[2] or plan.work.failure(part))
    if left := plan.work.counts(plan.parts)["left"]:
        raise InputError(
            f"{died} workers died with {left} parts left, perhaps for lack of memory: the same command goes on with "
            "fewer --workers"
        )


def push(args: PrepareArguments, repository: str, folder: Path, manifest: dict[str, Any]) -> None:
    """Upload the files that the repository lacks.

    Raises:
        PublishError: the upload failed; the folder is still complete.
    """
    try:
        api = HfApi(library_name="pico-maml")
        api.create_repo(repository, repo_type="dataset", private=args.push_private, exist_ok=True)
        present = set(api.list_repo_files(repository, repo_type="dataset")) - {".gitattributes", "README.md"}
        if present and MANIFEST not in present:
            raise PublishError(f"{repository} holds something else already ({min(present)}): choose another push_to")
        api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            ignore_patterns=[".*"],
            delete_patterns=["train/*", "validation/*", "tokenizer/*"],
            commit_message=f"{manifest['counts']['tokens']:,} tokens in {len(manifest['files'])} files",
        )
    except Exception as error:
        reason = explain(error, repository).message
        raise PublishError(f"{folder} is prepared, but not on the Hub: {reason}") from error
    print(f"pushed to {repository}")
