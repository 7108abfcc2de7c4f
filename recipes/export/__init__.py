"""`export`: writes a checkpoint in the format another program reads."""
