"""`scale`: estimates hours and memory of the recipes on GPUs, by formula."""
