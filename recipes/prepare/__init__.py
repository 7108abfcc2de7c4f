"""Tokenize a corpus once, into packed parquet shards."""
