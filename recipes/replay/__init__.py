"""What a run read at a step: its texts and episodes, from its folder alone."""
