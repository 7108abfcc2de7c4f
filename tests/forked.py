"""Processes forked from a server that has imported the package, so that they start at once."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

PATIENCE = 600.0
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pico_maml.recipes.pretrain.command"])


def start(function: Callable[..., Any], *arguments: Any, log: Path, processes: int = 1) -> list[BaseProcess]:
    """Start `function(*arguments)` in processes that train together, as torchrun does; `log` gets what they print."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = dict(os.environ)
    if processes > 1:
        environment |= {"WORLD_SIZE": str(processes), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    children = [
        CONTEXT.Process(target=_call, args=(function, arguments, environment, rank, log)) for rank in range(processes)
    ]
    for child in children:
        child.start()
    return children


def _call(function: Callable[..., Any], arguments: tuple, environment: dict[str, str], rank: int, log: Path) -> None:
    """In a session of its own, so that its data workers can be killed with it."""
    os.setsid()
    os.environ.clear()  # which is that of the server
    os.environ |= environment
    if "WORLD_SIZE" in environment:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    torch.set_num_threads(1)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    function(*arguments)


def run(function: Callable[..., Any], *arguments: Any, log: Path, processes: int = 1, exit_code: int = 0) -> str:
    """Run `function(*arguments)` in processes that train together; returns what they printed.

    All must end with `exit_code`; a hang, or a process that ends with another, ends all.
    """
    children = start(function, *arguments, log=log, processes=processes)
    deadline = time.monotonic() + PATIENCE
    try:
        while alive := [child.sentinel for child in children if child.is_alive()]:
            connection.wait(alive, max(0.0, deadline - time.monotonic()))
            if any(child.exitcode for child in children) or time.monotonic() > deadline:
                break
    finally:
        for child in children:
            if child.is_alive():
                kill(child)
            child.join()
    printed = log.read_text()
    assert [child.exitcode for child in children] == [exit_code] * processes, printed[-8000:]
    return printed


def kill(child: BaseProcess) -> None:
    """Kill a process and its data workers."""
    for end in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            end(child.pid, signal.SIGKILL)
