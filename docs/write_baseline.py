"""Train the demo without episodes, twice, and keep its figures in recipes/demo/baseline.json: `make demo-baseline`."""

import sys

from pico_maml.recipes.demo.baseline import Baseline
from pico_maml.recipes.demo.command import train

if __name__ == "__main__":
    vanilla = train(["--hybrid_ratio", "0", "--output_dir", "runs/demo-baseline", *sys.argv[1:]])
    start = ["--init_embeddings", "svd", "--output_dir", "runs/demo-baseline-svd"]
    Baseline.of(vanilla, train(["--hybrid_ratio", "0", *start, *sys.argv[1:]])).write()
