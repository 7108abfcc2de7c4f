"""Estimate hours and memory of the recipes on GPUs, by formula."""
