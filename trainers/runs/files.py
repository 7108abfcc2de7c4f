"""Names of the files in a run's folder."""

ARGUMENTS_FILE = "arguments.json"
METRICS_FILE = "metrics.jsonl"
DYNAMICS_FILE = "learning_dynamics.jsonl"
RESULTS_FILE = "results.json"
PREEMPTED_FILE = "PREEMPTED"
CLAIM_FILE = ".running"
PUBLISH_FOLDER = ".publish"
# Checkpoints are written below it, then sealed and renamed to checkpoint-N.
UNFINISHED = ".unfinished"
COMPLETE = "COMPLETE"
