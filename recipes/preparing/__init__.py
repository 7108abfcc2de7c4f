"""A corpus as packed shards: which documents become which file, the manifest, and its place on the Hub."""
