"""The Hub card of a packed corpus, which also names the files of each split."""

from typing import Any

from huggingface_hub import DatasetCardData


def dataset_card(manifest: dict[str, Any], license: str | None) -> str:
    """The card as Markdown with metadata.

    Args:
        manifest: the content of `manifest.json`.
        license: of the text, as the Hub names it.
    """
    splits = sorted({file["file"].split("/")[0] for file in manifest["files"]})
    files = [{"split": split, "path": f"{split}/*.parquet"} for split in splits]
    data = DatasetCardData(
        license=license,
        tags=["pretokenized", "pico-maml"],
        configs=[{"config_name": "default", "data_files": files}],
    )
    corpus, counts = manifest["corpus"], manifest["counts"]
    return (
        f"---\n{data.to_yaml()}\n---\n\n"
        f"# Packed tokens of {corpus['dataset']}\n\n"
        f"{counts['tokens']:,} tokens of {counts['documents']:,} documents for training; "
        f"{counts['held_out_tokens']:,} tokens of {counts['held_out_documents']:,} documents held out, chosen by a "
        f"hash of their content. Blocks have {corpus['block_size'] + 1} ids and share one with the next block: each "
        "token is predicted once. Each document ends with an end-of-text token. `tokenizer/` holds the tokenizer, "
        "`manifest.json` the SHA-256 of every file.\n\n"
        "```bash\npython -m pico_maml.recipes.pretrain --dataset THIS --eval_dataset THIS --eval_split validation "
        f"--streaming --block_size {corpus['block_size']} --max_steps 1000 --output_dir runs/mine\n```\n"
    )
