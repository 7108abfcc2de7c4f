"""`prepare`: tokenizes a corpus once, into packed parquet shards."""
