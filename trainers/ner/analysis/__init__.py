"""Analysis of NER results: baselines, bootstrap, errors, and the tables and figures of the paper."""
