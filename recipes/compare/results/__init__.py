"""What the runs of a study gave, and what it shows."""
