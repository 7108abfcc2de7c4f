"""Analysis of NER results: baselines, significance, errors, and the tables and figures of the paper."""
