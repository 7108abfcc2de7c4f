"""`pretrain`: trains a model with next-token prediction and episodes."""
