import os
import socket
import subprocess
import sys
import time
from multiprocessing.pool import ThreadPool

import psutil

from pico_maml.trainers.runs.claim import acquire, is_stale


def test_only_one_of_many_threads_gets_a_claim(tmp_path):
    with ThreadPool(16) as pool:
        claims = pool.map(lambda _: acquire(tmp_path / "run", 600), range(16))
    (held,) = [claim for claim in claims if claim is not None]
    with held:
        assert acquire(tmp_path / "run", 600) is None
    assert acquire(tmp_path / "run", 600) is not None, "released"


def test_claim_is_released_when_the_work_raises(tmp_path):
    try:
        with acquire(tmp_path / "run", 600):
            raise RuntimeError
    except RuntimeError:
        assert not list(tmp_path.iterdir())


def test_claim_of_a_killed_process_is_taken_over(tmp_path):
    done = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    done.stdout.read()  # its end closes the pipe, but nobody has waited for it
    path = tmp_path / "run"
    path.write_text(f"{socket.gethostname()} {done.pid} abc")
    while psutil.Process(done.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert is_stale(path, 600)
    done.wait()
    assert is_stale(path, 600)
    with acquire(path, 600) as owner:
        assert path.read_text() == owner
    path.write_text(f"{socket.gethostname()} {os.getpid()} abc")
    assert acquire(path, 600) is None, "that process lives"
    assert not is_stale(path, -1e9), "whatever the clock says"
    before_it_began = psutil.Process().create_time() - 1
    os.utime(path, (before_it_began, before_it_began))
    assert is_stale(path, 1e9), "another process has the number now"


def test_claim_of_another_machine_is_taken_over_only_after_its_last_touch_is_old(tmp_path):
    path = tmp_path / "run"
    path.write_text("elsewhere 1 abc")
    assert acquire(path, 600) is None
    old = time.time() - 601
    os.utime(path, (old, old))
    assert acquire(path, 600) is not None


def test_held_claim_is_touched_and_a_claim_taken_over_by_others_is_not_deleted(tmp_path):
    path = tmp_path / "run"
    with acquire(path, 0.5):
        os.utime(path, (0, 0))
        deadline = time.time() + 5
        while path.stat().st_mtime == 0 and time.time() < deadline:
            time.sleep(0.02)
        assert path.stat().st_mtime > 0
        path.write_text("elsewhere 1 abc")
    assert path.read_text() == "elsewhere 1 abc", "it belongs to the other now"
