"""What an NER result means: baselines, bootstrap, error analysis, and the tables and figures of the paper."""
