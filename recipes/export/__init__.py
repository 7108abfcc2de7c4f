"""Write a checkpoint in the format that another program reads."""
