"""Arguments of a small pretraining run, which several test files start from the command line."""

SMALL = {
    "d_model": 32,
    "n_layers": 1,
    "attention_n_heads": 2,
    "attention_n_kv_heads": 1,
    "activation_hidden_dim": 64,
    "vocab_size": 400,
    "max_seq_len": 64,
    "block_size": 48,
    "eval_blocks": 24,
    "held_out_words": 0.3,
    "eval_fraction": 0.1,
    "eval_episodes": 2,
    "max_steps": 4,
    "per_device_train_batch_size": 4,
    "logging_steps": 2,
    "eval_steps": 2,
    "save_steps": 2,
    "n_way": 4,
    "k_shot": 2,
    "episode_window": 8,
    "word_max_frequency": 1,
    "use_cpu": True,
    "disable_tqdm": True,
}


def argv(output_dir, corpus, **changes) -> list[str]:
    options = SMALL | {"output_dir": output_dir, "dataset": corpus} | changes
    return [f"--{name}={value}" for name, value in options.items()]
