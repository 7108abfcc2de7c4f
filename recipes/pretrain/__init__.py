"""Pretrain a model with next-token prediction and MAML episodes."""
