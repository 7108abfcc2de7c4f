"""The card of a packed corpus, which also tells the Hub which files are which split."""

from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData


def dataset_card(manifest: dict[str, Any], license: str | None) -> str:
    """Metadata and text.

    Args:
        manifest: see `recipes.prepare`.
        license: of the text, as the Hub names it.
    """
    splits = {file["file"].split("/")[0] for file in manifest["files"]}
    files = [{"split": split, "path": f"{split}/*.parquet"} for split in sorted(splits)]
    data = DatasetCardData(
        license=license,
        tags=["pretokenized", "pico-maml"],
        configs=[{"config_name": "default", "data_files": files}],
    )
    source = manifest["corpus"]
    counts = manifest["counts"]
    return str(
        DatasetCard(
            f"---\n{data.to_yaml()}\n---\n\n"
            f"# Packed tokens of {source['dataset']}\n\n"
            f"{counts['tokens']:,} tokens of {counts['documents']:,} documents for training, and "
            f"{counts['held_out_tokens']:,} of {counts['held_out_documents']:,} held out by a hash of their content, "
            f"in blocks of {source['block_size'] + 1} ids that share one id with their neighbour: each token is "
            "predicted once. An end-of-text token stands behind each document. `tokenizer/` holds the tokenizer, "
            "`manifest.json` the SHA-256 of every file.\n\n"
            "```bash\npython -m pico_maml.recipes.pretrain --dataset THIS --eval_dataset THIS --eval_split validation "
            f"--streaming --block_size {source['block_size']} --max_steps 1000 --output_dir runs/mine\n```\n"
        )
    )
