import os
import signal
import subprocess
import sys
import time

import pytest

from pico_maml.trainers.runs import process_end

# Runs the module alone, without the package and its slow imports.
DROPPING = f"import os, runpy, sys\nend = runpy.run_path({process_end.__file__!r})\nend['drop_unwritable_output']()\n"
PRINTS = (
    DROPPING
    + """
for i in range(3000):
    print("out", i, flush=True)
    sys.stderr.write(f"err {i}\\n")
open(sys.argv[1], "w").write("done")
"""
)


def shell(line: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which "$0" is Python and "$@" are the arguments."""
    command = ["bash", "-o", "pipefail", "-c", line, sys.executable, *map(str, arguments)]
    environment = os.environ | {"PYTHONUNBUFFERED": ""} | environment
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ('"$0" "$@" | head -n 1', "out 0\n"),
        ('"$0" "$@" 2>&1 >/dev/null | head -n 1', "err 0\n"),
        ('"$0" -u "$@" 2>&1 | head -n 1', "out 0\n"),
        ('"$0" "$@" >/dev/full 2>&1', ""),
        ('"$0" "$@" >&- 2>&-', ""),
        ('"$0" "$@" >/dev/null 2>&-', ""),
    ],
)
def test_process_goes_on_when_nobody_reads_its_output(line, printed, tmp_path):
    ended = shell(line, "-c", PRINTS, tmp_path / "file")
    assert (ended.returncode, ended.stdout) == (0, printed)
    assert (tmp_path / "file").read_text() == "done"


def test_output_is_whole_when_it_can_be_written(tmp_path):
    ended = shell('"$0" "$@"', "-c", PRINTS, tmp_path / "file")
    assert ended.stdout.splitlines() == [f"out {i}" for i in range(3000)]
    assert ended.stderr.splitlines() == [f"err {i}" for i in range(3000)]


def test_unbuffered_python_writes_at_once():
    code = DROPPING + "import time\nprint('half', end='')\nos.write(2, b'now')\ntime.sleep(60)"
    command = [sys.executable, "-u", "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr.read(3) == b"now"
    os.set_blocking(process.stdout.fileno(), False)
    assert process.stdout.read() == b"half"
    process.kill()


def test_text_that_the_encoding_of_the_output_lacks_is_escaped():
    ended = shell('"$0" "$@"', "-c", DROPPING + "print('caf\\xe9')", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (ended.returncode, ended.stdout) == (0, "caf\\xe9\n")


def test_output_that_a_notebook_or_a_test_catches_is_left_to_it(capsys):
    process_end.drop_unwritable_output()
    print("caught")
    assert capsys.readouterr().out == "caught\n"


WAITS = """
with end["ended_by_signals"]():
    try:
        os.write(1, b"ready\\n")
        import time; time.sleep(60)
    finally:
        print("tidy", flush=True)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_runs_what_is_to_be_done_at_the_end(number, code):
    heard = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # also where the tests run under nohup
    process = subprocess.Popen([sys.executable, "-c", heard + DROPPING + WAITS], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.read() == "tidy\n"
    assert process.wait() == code


def test_processes_that_train_together_end_at_once():
    environment = os.environ | {"WORLD_SIZE": "2"}
    command = [sys.executable, "-c", DROPPING + WAITS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait() == -signal.SIGTERM


def test_hangup_is_ignored_under_nohup():
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    command = [sys.executable, "-c", DROPPING + ignoring + WAITS.replace("60", "0.5")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    began = time.monotonic()
    assert process.wait() == 0
    assert time.monotonic() - began > 0.2


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with process_end.ended_by_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
