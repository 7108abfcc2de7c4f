"""Kills a pretraining run again and again until it is done, and compares it with one that was left alone.

python tests/torture.py --kills 12    # of each kind: mapped and streamed corpus, one process and two
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent))

import torch
from pretrain_run import argv

from pico_maml.recipes.arguments.parser import run

# Imported before any fork, so that an attempt costs no seconds of imports; nothing is computed in this process.
from pico_maml.recipes.pretrain import command as pretrain

OPTIONS = {"save_steps": 1, "save_total_limit": 3, "logging_steps": 1, "eval_steps": 8}
KINDS = {
    "mapped": {},
    "streamed": {"streaming": True, "shuffle_blocks": 20, "dataloader_num_workers": 2},
}
TIMED = {"tokens_per_second", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
PATIENCE = 120.0


@dataclass
class Tally:
    """What happened to a run."""

    kills: int = 0
    while_saving: int = 0
    before_the_first_checkpoint: int = 0
    one_of_several: int = 0
    hangs: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def start(arguments: list[str], processes: int, log: Path) -> list[int]:
    """Begin an attempt, one forked process a rank; returns their ids."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        child = os.fork()
        if child:
            children.append(child)
            continue
        os.setsid()  # its data workers end with it
        if processes > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
            os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        code = 1
        try:
            run(lambda: pretrain.main(arguments))
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return children


def kill(child: int) -> None:
    """The process and its data workers are gone at once."""
    for end in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            end(child, signal.SIGKILL)


def finish(children: list[int], seconds: float) -> list[int] | None:
    """Exit codes; None where somebody was still there after `seconds` (and had to be killed)."""
    deadline, codes, hung = time.monotonic() + seconds, {}, False
    while len(codes) < len(children):
        for child in children:
            if child not in codes and os.waitpid(child, os.WNOHANG) != (0, 0):
                codes[child] = 0
        if time.monotonic() > deadline:
            hung = True
            for child in set(children) - set(codes):
                kill(child)
        time.sleep(0.005)
    return None if hung else list(codes.values())


def torture(folder: Path, corpus: str, kind: str, processes: int, kills: int, seed: int, steps: int) -> Tally:
    """Kill a run `kills` times at random moments, every other time while it saves; then let it end, and compare."""
    tally, moments, begun = Tally(), random.Random(seed), time.monotonic()
    options = OPTIONS | KINDS[kind] | {"max_steps": steps, "per_device_train_batch_size": 4 // processes}
    whole, part = folder / "whole", folder / "part"
    length = time.monotonic()
    if finish(start(argv(whole, corpus, **options), processes, folder / "whole.log"), PATIENCE) is None:
        tally.hangs += 1
    if not finished(whole):
        raise SystemExit((folder / "whole.log").read_text())
    length = time.monotonic() - length
    while not finished(part):
        resume = {"resume": True} if (part / "arguments.json").exists() else {}
        if not resume:
            shutil.rmtree(part, ignore_errors=True)
        children = start(argv(part, corpus, **options, **resume), processes, folder / "part.log")
        if tally.kills == kills:
            if finish(children, PATIENCE) is None or not finished(part):
                tally.hangs += 1
                break
            continue
        began = time.time_ns()
        if tally.kills % 2:
            saves = moments.randint(1, 5)
            seen: set[int] = set()
            while len(seen) < saves and time.time_ns() < began + length * 1e9:
                seen |= {made for made in [made_at(part / ".unfinished")] if made > began}
                time.sleep(0.0005)
            time.sleep(moments.uniform(0, 0.03))
        else:
            time.sleep(moments.uniform(0.1, 0.7) * length)
        tally.while_saving += made_at(part / ".unfinished") > began
        tally.before_the_first_checkpoint += not any(part.glob("checkpoint-*"))
        if processes > 1 and moments.random() < 0.5:
            kill(moments.choice(children))  # the others notice
            tally.one_of_several += 1
        else:
            for child in children:
                kill(child)
        tally.kills += 1
        if finish(children, PATIENCE) is None:
            tally.hangs += 1
        if finished(part) and tally.kills < kills:
            shutil.rmtree(part)  # too fast: once more from the beginning
    tally.wrong = differences(whole, part, steps) if finished(part) else ["the run did not finish"]
    tally.seconds = time.monotonic() - begun
    return tally


def finished(folder: Path) -> bool:
    """Whether a run has come to its end."""
    results = folder / "results.json"
    return results.exists() and "steps" in json.loads(results.read_text())


def made_at(folder: Path) -> int:
    """When a folder was made, in nanoseconds; 0 where there is none."""
    try:
        return folder.stat().st_ctime_ns
    except FileNotFoundError:
        return 0


def differences(whole: Path, part: Path, steps: int) -> list[str]:
    """What is not the same in two folders of runs, times apart."""
    last = f"checkpoint-{steps}"
    found = [
        name
        for name in ("model.safetensors", f"{last}/model.safetensors", f"{last}/maml_state.safetensors")
        if (whole / name).read_bytes() != (part / name).read_bytes()
    ]
    states = [torch.load(folder / last / "optimizer.pt", weights_only=True)["state"] for folder in (whole, part)]
    if any(not torch.equal(states[0][i][name], states[1][i][name]) for i in states[0] for name in states[0][i]):
        found.append("optimizer.pt")
    logs = []
    for folder in (whole, part):
        entries = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        # The summary of the run's time is missing where the very end was killed.
        logs.append([{k: v for k, v in e.items() if k not in TIMED} for e in entries if "train_runtime" not in e])
    found += ["metrics.jsonl"] * (logs[0] != logs[1])
    if json.loads((whole / "results.json").read_text()) != json.loads((part / "results.json").read_text()):
        found.append("results.json")
    kept = [{path.name for path in folder.iterdir()} for folder in (whole, part)]
    return found + sorted(kept[0] ^ kept[1])


def corpus(folder: Path) -> str:
    """Eighty paragraphs over a hundred words, in four files."""
    draw = random.Random(0)
    words = [a + b for a in "abcdefghij" for b in "abcdefghij"]
    (folder / "corpus").mkdir(parents=True)
    for shard in range(4):
        paragraphs = [" ".join(draw.choices(words, k=150)) + " ." for _ in range(20)]
        (folder / "corpus" / f"{shard}.txt").write_text("\n\n".join(paragraphs))
    return str(folder / "corpus")


def main() -> None:
    """Print one line a kind of run; exit code 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=12, help="of each kind of run")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--steps", type=int, default=40, help="optimizer steps of a run, each of which is saved")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    bad = False
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.setdefault("HF_DATASETS_CACHE", f"{temporary}/cache")
        text = corpus(Path(temporary))
        for processes in args.processes:
            for kind in args.kinds:
                folder = Path(temporary, f"{kind}-{processes}")
                folder.mkdir()
                tally = torture(folder, text, kind, processes, args.kills, args.seed, args.steps)
                print(f"{kind}, {processes} process(es): {tally}", flush=True)
                if tally.hangs or tally.wrong:
                    print((folder / "part.log").read_text()[-6000:])
                    bad = True
    sys.exit(bad)


if __name__ == "__main__":
    main()
