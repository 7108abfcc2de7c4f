"""What the benchmark times, one kind of pair a file, and how: in turn, within one run, as ratios."""
