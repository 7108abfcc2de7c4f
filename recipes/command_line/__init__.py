"""What the recipes share: arguments, the corpus they name, checkpoints, the folder of a run."""
