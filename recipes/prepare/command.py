"""Tokenise a corpus once, into packed shards that training streams and resumes in constant time.

    python -m pico_maml.recipes.prepare --dataset books/ --tokenizer runs/demo --output_dir packed --workers 4
    python -m pico_maml.recipes.pretrain --dataset packed/train --eval_dataset packed/validation --streaming ...

Shards are made in parallel and independently: killed and started again, it goes on with those that are missing, and
the files are the same whatever the number of workers. `manifest.json` has the hash and counts of each.
"""

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datasets import IterableDataset, disable_progress_bars
from huggingface_hub import HfApi

from ...trainers.corpus import load_tokenizer, train_tokenizer
from ...trainers.errors import PublishError
from ...trainers.hub import explain
from ...trainers.runs.folder import check_free_or_same
from ...trainers.runs.json_files import read_json, write_json
from ..arguments.parser import parse
from .arguments import PrepareArguments
from .dataset_card import dataset_card
from .shards import TOKENIZER, Plan, pack_held_out, write_part

MANIFEST, ARGUMENTS = "manifest.json", ".progress/arguments.json"


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the recipe; returns the manifest."""
    (args,) = parse((PrepareArguments,), argv, prog="prepare")
    disable_progress_bars()
    folder = Path(args.output_dir)
    if not (folder / MANIFEST).exists():
        prepare(args, folder)
    manifest = read_json(folder / MANIFEST)
    counts = manifest["counts"]
    print(
        f"{folder}: {len(manifest['files'])} files, {counts['tokens']:,} tokens to train on, "
        f"{counts['held_out_tokens']:,} held out"
    )
    if args.push_to is not None:
        push(args, folder, manifest)
    return manifest


def prepare(args: PrepareArguments, folder: Path) -> None:
    """Write what is missing of the shards, and the manifest last."""
    check_free_or_same(folder, args.decisive(), (), ARGUMENTS)
    documents = args.documents()
    if args.tokenizer is not None:
        tokenizer = load_tokenizer(args.tokenizer)
    elif (folder / TOKENIZER).exists():
        tokenizer = load_tokenizer(str(folder / TOKENIZER))
    else:
        tokenizer = train_tokenizer((row["text"] for row in documents), args.vocab_size)
    write_json(folder / ARGUMENTS, args.decisive())
    tokenizer.save_pretrained(folder / TOKENIZER)
    streamed = isinstance(documents, IterableDataset)
    parts = documents.num_shards if streamed else -(-len(documents) // args.documents_per_shard)
    plan = Plan(args, folder, parts)
    write_parts(plan)
    validation = pack_held_out(plan)
    done = plan.records()
    counts = {name: sum(record[name] for record in done) for name in done[0] if name != "shard"}
    if validation is None:
        print(f"the {counts['held_out_tokens']} held-out tokens do not fill a block: raise held_out_fraction")
    manifest = {
        # A path on this machine is nobody's business.
        "corpus": args.decisive()
        | {"dataset": Path(args.dataset).name if Path(args.dataset).exists() else args.dataset},
        "vocab_size": len(tokenizer),
        "counts": counts,
        "files": [record["shard"] for record in done] + ([asdict(validation)] if validation else []),
    }
    (folder / "README.md").write_text(dataset_card(manifest, args.license))
    write_json(folder / MANIFEST, manifest)
    shutil.rmtree(folder / ".progress")


def write_parts(plan: Plan) -> None:
    """Write all shards; a worker takes the next one when it is done."""
    if plan.args.workers == 1:
        for index in range(plan.parts):
            write_part(plan, index)
        return
    # Not forked: threads of tokenizers do not survive that.
    with ProcessPoolExecutor(plan.args.workers, multiprocessing.get_context("spawn")) as pool:
        for written in [pool.submit(write_part, plan, index) for index in range(plan.parts)]:
            written.result()


def push(args: PrepareArguments, folder: Path, manifest: dict[str, Any]) -> None:
    """Upload the folder; what is there already does not travel again.

    Raises:
        PublishError: it is not on the Hub; the folder is, whole, on the disk.
    """
    assert args.push_to is not None
    try:
        api = HfApi(library_name="pico-maml")
        api.create_repo(args.push_to, repo_type="dataset", private=args.push_private, exist_ok=True)
        held = set(api.list_repo_files(args.push_to, repo_type="dataset")) - {".gitattributes", "README.md"}
        if held and MANIFEST not in held:
            raise PublishError(f"{args.push_to} holds something else already ({min(held)}): choose another push_to")
        api.upload_folder(
            repo_id=args.push_to,
            repo_type="dataset",
            folder_path=folder,
            ignore_patterns=[".*"],
            delete_patterns=["train/*", "validation/*", "tokenizer/*"],
            commit_message=f"{manifest['counts']['tokens']:,} tokens in {len(manifest['files'])} files",
        )
    except Exception as error:
        raise PublishError(
            f"{folder} is prepared, but not on the Hub: {explain(error, args.push_to).message}"
        ) from error
    print(f"pushed to {args.push_to}")
