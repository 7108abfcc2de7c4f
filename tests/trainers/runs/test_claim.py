import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from pico_maml.trainers.runs import claim as claims
from pico_maml.trainers.runs.claim import acquire, read

# Runs the module alone, without the package and its slow imports.
HOLD = f"""
import runpy, sys, time
from pathlib import Path
with runpy.run_path({claims.__file__!r})["acquire"](Path(sys.argv[1]), 600):
    print("claimed", flush=True)
    time.sleep(600)
"""


@contextmanager
def held_by_process(path: Path, *starter: str):
    """A process that holds the claim; killed at the end."""
    owner = subprocess.Popen([*starter, sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout.readline() == "claimed\n"
        yield owner
    finally:
        owner.kill()
        owner.wait()


def with_record(path: Path, record: str, age: float = 0.0) -> None:
    path.write_text(record)
    os.utime(path, (time.time() - age,) * 2)


def wait_until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_only_one_of_many_threads_gets_a_claim(tmp_path):
    with ThreadPool(16) as pool:
        got = pool.map(lambda _: acquire(tmp_path / "run", 600), range(16))
    (held,) = [claim for claim in got if claim is not None]
    with held:
        assert acquire(tmp_path / "run", 600) is None
    assert not list(tmp_path.iterdir())
    assert acquire(tmp_path / "run", 600) is not None, "released"


def test_claim_is_released_when_the_work_raises(tmp_path):
    try:
        with acquire(tmp_path / "run", 600):
            raise RuntimeError
    except RuntimeError:
        assert not list(tmp_path.iterdir())


def test_claim_of_a_living_process_is_kept_whatever_its_clock_name_and_number(tmp_path):
    path = tmp_path / "run"
    with held_by_process(path):
        os.utime(path, (0, 0))
        assert acquire(path, 0.01) is None
        # As seen from a container: the host has another name, and no process has its number here.
        host, _, place, key = path.read_text().split()
        with_record(path, f"container-of-{host} 999999999 {place} {key}", age=1e6)
        assert acquire(path, 0.01) is None


@pytest.mark.skipif(
    subprocess.run(["unshare", "--user", "--pid", "--fork", "true"], capture_output=True, check=False).returncode != 0,
    reason="needs the right to make PID namespaces",
)
def test_claim_of_a_process_in_another_pid_namespace_is_kept(tmp_path):
    with held_by_process(tmp_path / "run", "unshare", "--user", "--pid", "--fork", "--kill-child"):
        assert (tmp_path / "run").read_text().split()[1] == "1", "its number there"
        assert acquire(tmp_path / "run", 600) is None


def test_claim_of_a_killed_process_is_free_at_once(tmp_path):
    path = tmp_path / "run"
    with held_by_process(path) as owner:
        owner.kill()
        owner.stdout.read()  # its end closes the pipe, but nobody has waited for it
        with acquire(path, 1e9) as claim:
            assert read(path) == claim.record


def test_forked_data_worker_does_not_keep_the_claim_of_its_killed_parent(tmp_path):
    fork = "import os\n    if not os.fork(): print(os.getpid(), flush=True)\n    time.sleep(60)"
    code = HOLD.replace("time.sleep(600)", fork)
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "claimed\n"
    child = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    try:
        assert acquire(tmp_path / "run", 1e9) is not None
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("record", ["elsewhere 1 0ther-b00t-id:7 abc", "earlier-version 1 abc"])
def test_claim_of_another_machine_is_free_when_nobody_touches_it_any_more(record, tmp_path):
    path = tmp_path / "run"
    with_record(path, record)
    assert acquire(path, 600) is None
    with_record(path, record, age=2)
    with acquire(path, 1):
        assert read(path).startswith(f"{socket.gethostname()} {os.getpid()} ")


@pytest.mark.parametrize("hours", [3, -3])
def test_clock_that_jumps_neither_takes_a_living_claim_nor_blocks_a_dead_one(hours, tmp_path):
    path = tmp_path / "run"
    with_record(path, "elsewhere 1 abc", age=3600 * hours)
    ended = threading.Event()

    def touch() -> None:  # by the clock of the other machine
        for i in range(10_000):
            if ended.wait(0.02):
                return
            os.utime(path, (time.time() - 3600 * hours + i,) * 2)

    owner = threading.Thread(target=touch)
    owner.start()
    try:
        assert acquire(path, 2) is None
    finally:
        ended.set()
        owner.join()
    assert acquire(path, 2) is not None


def test_waiting_for_another_machine_ends_with_its_touch_or_its_silence(tmp_path):
    path = tmp_path / "run"
    with_record(path, "elsewhere 1 abc")
    touch = threading.Timer(0.3, lambda: os.utime(path))
    touch.start()
    assert acquire(path, 60, wait=True) is None, "it lives"
    touch.join()
    began = time.monotonic()
    with_record(path, "elsewhere 1 abc")
    assert acquire(path, 1, wait=True) is not None
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EIO])
def test_file_system_without_locks_is_kept_by_touches(number, tmp_path, monkeypatch):
    def no_locks(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    path = tmp_path / "run"
    with acquire(path, 1) as claim:
        assert path.read_text() == claim.record
        time.sleep(1.2)
        assert acquire(path, 1) is None
    assert not path.exists()
    path.write_text(claim.record)  # left by a killed process
    assert acquire(path, 600) is None
    with_record(path, claim.record, age=2)
    assert acquire(path, 1) is not None


def test_only_one_of_two_machines_takes_over_a_claim_at_the_same_moment(tmp_path, monkeypatch):
    path, both = tmp_path / "run", threading.Barrier(2)
    with_record(path, "elsewhere 1 abc", age=2)

    def no_locks(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def abandoned(*arguments):
        both.wait()
        return True

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(claims, "_is_abandoned", abandoned)
    with ThreadPool(2) as pool:
        got = pool.map(lambda _: acquire(path, 1), range(2))
    (held,) = [claim for claim in got if claim is not None]
    assert read(path) == held.record


def test_lock_that_a_server_keeps_for_a_dead_machine_does_not_block_for_ever(tmp_path, monkeypatch):
    path = tmp_path / "run"
    with_record(path, "elsewhere 1 abc", age=2)

    def held(*arguments):
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "flock", held)
    assert acquire(path, 600) is None
    assert acquire(path, 1) is not None


def test_errors_of_the_file_system_stop_neither_the_touches_nor_the_work(tmp_path, monkeypatch):
    path, broken = tmp_path / "run", [True]

    def stale(*arguments, **options):
        if broken:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return utime(*arguments, **options)

    utime = os.utime
    monkeypatch.setattr(claims.os, "utime", stale)
    with acquire(path, 0.5):
        time.sleep(0.2)
        broken.clear()
        utime(path, (0, 0))
        wait_until(lambda: path.stat().st_mtime > 0)
        monkeypatch.setattr(claims, "read", stale)
        broken.append(True)


def test_claim_that_was_deleted_is_written_and_locked_again(tmp_path):
    path = tmp_path / "run"
    with acquire(path, 0.2) as claim:
        path.unlink()
        wait_until(lambda: read(path) == claim.record)
        assert acquire(path, 600) is None
        assert not claim.lost
    assert not path.exists()


def test_owner_knows_that_its_claim_was_taken_over_and_does_not_delete_it(tmp_path):
    path = tmp_path / "run"
    with acquire(path, 0.2) as claim:
        path.write_text("elsewhere 1 abc")
        wait_until(lambda: claim.lost)
    assert path.read_text() == "elsewhere 1 abc"
