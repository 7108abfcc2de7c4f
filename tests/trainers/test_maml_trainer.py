import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from datasets import Dataset, concatenate_datasets
from small_run import trainer
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from pico_maml import PicoForCausalLM
from pico_maml.trainers import InputError, sample_episode
from pico_maml.trainers.corpus import BlockStream, collate_blocks, load_words
from pico_maml.trainers.episodes import episode_generator


def weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


class Recorder:
    """The collator, which also records its batches."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, rows):
        batch = collate_blocks(rows)
        self.seen.append(batch["input_ids"])
        return batch


def test_one_step_of_four_micro_batches_equals_one_of_the_same_rows(model, blocks, tokenizer, tmp_path):
    plain = {"hybrid_ratio": 0.0, "max_steps": 1, "optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0}
    runs = []
    for batch, accumulation in ((4, 4), (16, 1)):
        run = trainer(
            copy.deepcopy(model),
            blocks,
            tokenizer,
            tmp_path / str(batch),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            **plain,
        )
        run.train()
        runs.append((weights(run.model), metrics(tmp_path / str(batch))[0]["next_token_loss"]))
    (one, loss), (other, same_loss) = runs
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-6, rtol=1e-5)
    assert loss == pytest.approx(same_loss, abs=1e-5)


@pytest.mark.parametrize("max_grad_norm", [0.0, 1e-3, 1.2, 1e3])
def test_clipped_steps_is_the_share_of_steps_whose_gradient_was_longer(
    model, blocks, tokenizer, tmp_path, max_grad_norm
):
    for name, every in (("each", 1), ("all", 6)):
        run = trainer(
            copy.deepcopy(model),
            blocks,
            tokenizer,
            tmp_path / name,
            max_steps=6,
            logging_steps=every,
            max_grad_norm=max_grad_norm,
        )
        run.train()
    (log,) = (entry for entry in metrics(tmp_path / "all") if "grad_norm" in entry)
    if max_grad_norm == 0:
        assert "clipped_steps" not in log
        return
    norms = [entry["grad_norm"] for entry in metrics(tmp_path / "each") if "grad_norm" in entry]
    share = sum(norm > max_grad_norm for norm in norms) / 6
    assert log["clipped_steps"] == pytest.approx(share)
    assert (0 < share < 1) == (max_grad_norm == 1.2)


def reference_gradient(model, head, micro_batches, tokenizer, words, args, pool_blocks):
    """Gradient of a mixed step by its definition: the mean of next-token and FOMAML query gradients."""
    model, head = copy.deepcopy(model), copy.deepcopy(head)
    pool = list(pool_blocks.split(args.per_device_train_batch_size))
    kinds = []
    for i, ids in enumerate(micro_batches):
        pool = [*pool[1:], ids[:, :-1]]
        generator = episode_generator(args.seed, 0, i)
        if torch.rand((), generator=generator) >= args.hybrid_ratio:
            logits = model(ids[:, :-1]).logits
            (F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()) / len(micro_batches)).backward()
            kinds.append("next token")
            continue
        episode = sample_episode(
            torch.cat(pool),
            tokenizer.mask_token_id,
            args.n_way,
            args.k_shot,
            args.n_query,
            generator,
            words=words.split(args.held_out_words)[0],
            window=args.episode_window,
            max_frequency=1.0,
        )
        support = model.pico_decoder(episode.support.ids).last_hidden_state[:, -1].detach()
        adapted = copy.deepcopy(head)
        for _ in range(args.inner_steps):
            adapted.zero_grad()
            F.cross_entropy(adapted(support), episode.support.labels).backward()
            with torch.no_grad():
                for p in adapted.parameters():
                    p -= args.inner_lr * p.grad
        adapted.zero_grad()
        query = model.pico_decoder(episode.query.ids).last_hidden_state[:, -1]
        (F.cross_entropy(adapted(query), episode.query.labels) / len(micro_batches)).backward()
        for p, q in zip(head.parameters(), adapted.parameters(), strict=True):
            p.grad = q.grad.clone() if p.grad is None else p.grad + q.grad
        kinds.append("episode")
    gradients = {**{n: p.grad for n, p in model.named_parameters()}}
    gradients |= {f"meta_head.{n}": p.grad for n, p in head.named_parameters()}
    return gradients, kinds


def test_a_step_of_mixed_micro_batches_has_the_gradient_of_the_formula(model, blocks, tokenizer, words, tmp_path):
    recorder = Recorder()
    start = copy.deepcopy(model)
    run = trainer(
        model,
        blocks,
        tokenizer,
        tmp_path,
        max_steps=1,
        gradient_accumulation_steps=6,
        optim="sgd",
        learning_rate=1.0,
        max_grad_norm=0.0,
        head_dropout=0.0,
    )
    run.data_collator = lambda rows: recorder(rows)
    before, head = weights(run.model), copy.deepcopy(run.model.meta_head)
    run.train()
    after = weights(run.model)
    whole = {tuple(row[:-1].tolist()): torch.as_tensor(row) for row in blocks["input_ids"]}
    micro_batches = [torch.stack([whole[tuple(row.tolist())] for row in batch]) for batch in recorder.seen[:6]]
    first = torch.as_tensor(blocks[:16]["input_ids"])[:, :-1].long()
    words = load_words(tokenizer, len(tokenizer), run.args.held_out_rule)
    expected, kinds = reference_gradient(start, head, micro_batches, tokenizer, words, run.args, first)
    assert {"episode", "next token"} <= set(kinds)
    for name in before:
        got = before[name] - after[name]
        torch.testing.assert_close(got, expected[name], atol=2e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_vanilla_and_hybrid_read_the_same_data_in_the_same_order(model, blocks, tokenizer, tmp_path):
    seen = []
    for ratio in (0.0, 0.5):
        run = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / str(ratio), hybrid_ratio=ratio)
        run.data_collator = recorder = Recorder()
        run.train()
        seen.append(recorder.seen)
    assert len(seen[0]) == len(seen[1])
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_same_seed_twice_ends_with_the_same_weights(model, blocks, tokenizer, tmp_path):
    ends = []
    for name in "ab":
        run = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / name)
        run.train()
        ends.append(weights(run.model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_each_objective_is_logged_apart(model, blocks, tokenizer, tmp_path):
    run = trainer(model, blocks, tokenizer, tmp_path, max_steps=6, logging_steps=6)
    run.train()
    training, final = metrics(tmp_path)
    assert "loss" not in training
    assert "train_loss" not in final
    assert training["step"] == 6
    assert training["episodes"] > 0
    assert training["tokens_seen"] == 6 * 2 * 4 * 48
    assert training["next_token_tokens"] == training["tokens_seen"] - training["episodes"] * 4 * 48
    assert training["adaptation_gain"] == pytest.approx(training["query_accuracy"] - training["query_accuracy_before"])
    for name in ("support_accuracy", "query_accuracy", "query_accuracy_before", "prototype_accuracy"):
        assert 0 <= training[name] <= 1
    assert {"query_loss", "grad_norm", "tokens_per_second", "learning_rate", "episodes_skipped"} <= set(training)
    assert training["next_token_loss"] == pytest.approx(6.0, abs=0.6)  # ln 400 at the start
    assert training["query_loss"] < 4


def test_vanilla_logs_no_query_metrics(model, blocks, tokenizer, tmp_path):
    trainer(model, blocks, tokenizer, tmp_path, hybrid_ratio=0.0).train()
    assert not any(name.startswith("query") for entry in metrics(tmp_path) for name in entry)


def test_episodes_skipped_for_too_few_words_are_counted(model, blocks, tokenizer, tmp_path):
    poor = Dataset.from_dict({"input_ids": [[5] * 49] * 400}).with_format("numpy")
    # The first blocks, which fill the pool before the first step, have words; hardly any later batch has.
    corpus = concatenate_datasets([blocks.select(range(16)), poor])
    trainer(model, corpus, tokenizer, tmp_path, hybrid_ratio=1.0, max_steps=8, logging_steps=8).train()
    entry = metrics(tmp_path)[0]
    assert entry["episodes_skipped"] > 0
    assert entry["episodes"] + entry["episodes_skipped"] == 16
    assert entry["next_token_tokens"] == entry["episodes_skipped"] * 4 * 48


def test_resume_gives_the_same_weights_and_the_same_log(model, blocks, tokenizer, tmp_path):
    # With this seed the first micro-batch after the resume draws an episode from the saved pool. Saving falls between
    # two logs, so the metrics of step 3 must be saved too.
    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "logging_steps": 2, "seed": 4}
    whole = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / "whole", **options)
    whole.train()
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    again = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / "part", **options)
    again.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-3"))
    assert all(torch.equal(p, weights(whole.model)[name]) for name, p in weights(again.model).items())
    timed = {"tokens_per_second", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
    timed |= {"training_cpu_seconds", "sampling_cpu_seconds", "other_cpu_seconds"}
    logs = [
        [{k: v for k, v in entry.items() if k not in timed} for entry in metrics(tmp_path / name)]
        for name in ("whole", "part")
    ]
    assert logs[0] == logs[1]


def test_checkpoints_load_as_the_plain_language_model(model, blocks, tokenizer, tmp_path):
    run = trainer(model, blocks, tokenizer, tmp_path, save_strategy="steps", save_steps=4)
    run.train()
    loaded, info = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint-4", output_loading_info=True)
    assert type(loaded) is PicoForCausalLM
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    saved = json.loads((tmp_path / "checkpoint-4" / "config.json").read_text())
    assert saved["architectures"] == ["PicoForCausalLM"]
    assert saved["use_cache"] is True
    assert saved["episode"]["n_way"] == 4
    for name, p in loaded.named_parameters():
        assert torch.equal(p, dict(run.model.named_parameters())[name])


def test_n_way_above_the_available_words_is_an_input_error(model, blocks, tokenizer, tmp_path):
    with pytest.raises(InputError, match=r"n_way is 500, but a pool of 16 blocks holds \d+ words .* lower n_way"):
        trainer(model, blocks, tokenizer, tmp_path, n_way=500).train()


def test_a_head_with_other_classes_is_an_input_error(model, blocks, tokenizer, tmp_path):
    run = trainer(model, blocks, tokenizer, tmp_path)
    with pytest.raises(InputError, match="n_way is 3, but the model's head has 4 classes"):
        trainer(run.model, blocks, tokenizer, tmp_path, n_way=3)


def test_fewer_blocks_than_a_batch_are_an_input_error(model, blocks, tokenizer, tmp_path):
    with pytest.raises(InputError, match="the corpus has 3 blocks, fewer than the 4 of one batch"):
        trainer(model, blocks.select(range(3)), tokenizer, tmp_path).train()


def test_tokenizers_that_do_not_fit_the_model_are_input_errors(model, blocks, tokenizer, tmp_path):
    maskless = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, eos_token="<|endoftext|>")
    with pytest.raises(InputError, match=r"which the tokenizer lacks.*give readout previous.*or add the token"):
        trainer(model, blocks, maskless, tmp_path)
    larger = copy.deepcopy(tokenizer)
    larger.add_tokens(["one", "two", "three"])
    with pytest.raises(InputError, match="the tokenizer has 403 tokens, but the model's vocab_size is 400"):
        trainer(model, blocks, larger, tmp_path)


def test_resuming_from_a_folder_without_checkpoint_is_an_input_error(model, blocks, tokenizer, tmp_path):
    with pytest.raises(InputError, match="is damaged: COMPLETE is missing; resume from"):
        trainer(model, blocks, tokenizer, tmp_path).train(resume_from_checkpoint=str(tmp_path))


def test_the_document_of_each_token_reaches_the_step_and_not_the_model(
    model, blocks, tokenizer, tmp_path, monkeypatch
):
    numbered = Dataset.from_dict(
        {"input_ids": blocks[:]["input_ids"].tolist(), "document": blocks[:]["input_ids"].tolist()}
    ).with_format("numpy")
    stream = BlockStream(numbered.with_format(None).to_iterable_dataset(), 48, packed=True)
    for name, corpus in (("mapped", numbered), ("streamed", stream)):
        options = {"max_steps": 2, "hybrid_ratio": 0.5, "episode_documents": "any"}
        run = trainer(copy.deepcopy(model), corpus, tokenizer, tmp_path / name, **options)
        step, seen, read = run.training_step, [], set()
        run.model.register_forward_pre_hook(lambda _, args, given, read=read: read.update(given), with_kwargs=True)

        def record(model, inputs, num_items_in_batch=None, step=step, seen=seen):
            seen.append(torch.equal(inputs["input_ids"], inputs["document"]))
            return step(model, inputs, num_items_in_batch)

        monkeypatch.setattr(run, "training_step", record)
        run.train()
        assert seen
        assert all(seen)
        assert "input_ids" in read
        assert "document" not in read
