"""The HTTP side of the test Hub: a threaded server that tests can kill and start again."""

import re
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from .api import Answer, Api
from .faults import Faults
from .storage import Refused, Storage


@dataclass
class Account:
    """Owner of a token, and whether it may write."""

    name: str
    organisations: list[str] = field(default_factory=list)
    write: bool = True


class HubServer:
    """A Hub that stores everything in a folder.

    Args:
        folder: its disk.
        accounts: by token; with none, nobody may write and everybody read.
        quota: bytes of LFS files that it takes (None: any).
    """

    def __init__(self, folder: Path, accounts: dict[str, Account] | None = None, quota: int | None = None) -> None:
        self.folder, self.accounts, self.quota = folder, accounts or {}, quota
        self.faults = Faults()
        self.unknown: list[str] = []
        self.requests: list[str] = []
        self.port = 0
        self.server: ThreadingHTTPServer | None = None
        self.connections: set[socket.socket] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> Storage:
        assert self.api is not None
        return self.api.storage

    def start(self) -> "HubServer":
        """Serve the folder, after a stop on the same port as before."""
        self.api = Api(Storage(self.folder), self)
        hub = self

        class Handler(HubHandler):
            server_of = hub

        class Server(ThreadingHTTPServer):
            daemon_threads, block_on_close, allow_reuse_address, request_queue_size = True, False, True, 64

            def handle_error(self, request: object, client_address: object) -> None:
                """Print nothing about broken connections."""

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop like a killed process: open connections are reset."""
        if self.server is None:
            return
        self.server.shutdown()
        self.server.server_close()
        self.server = None
        for connection in list(self.connections):
            hang_up(connection)

    def __enter__(self) -> "HubServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def hang_up(connection: socket.socket) -> None:
    """Reset a connection instead of closing it."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)


class HubHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_of: HubServer

    def setup(self) -> None:
        super().setup()
        self.server_of.connections.add(self.connection)

    def finish(self) -> None:
        self.server_of.connections.discard(self.connection)
        super().finish()

    def handle_any(self) -> None:
        hub = self.server_of
        request = f"{self.command} {self.path}"
        hub.requests.append(request)
        with (hub.folder / "requests.log").open("a") as log:
            log.write(request + "\n")
        fault = hub.faults.meet(request)
        if fault is not None and fault.kind == "cut":
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            hang_up(self.connection)
            self.close_connection = True
            return
        body = self.body()
        if fault is not None and fault.kind == "slow":
            time.sleep(fault.seconds)
        if fault is not None and fault.kind == "status":
            self.answer(Answer(fault.status, {**fault.headers, "X-Error-Message": fault.message}))
            return
        url = urlsplit(self.path)
        # Split while still quoted: a branch may hold a slash.
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        try:
            token = re.sub("^Bearer ", "", self.headers.get("Authorization", ""))
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            answer = hub.api.answer(self.command, parts, query, body, token, self.headers)
        except Refused as error:
            answer = Answer(error.status, error.headers, {"error": error.message})
        if answer is None:
            hub.unknown.append(request)
            answer = Answer(404)
        if fault is not None and fault.kind == "lost":
            hang_up(self.connection)
            self.close_connection = True
            return
        self.answer(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        size = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(size)
        if len(content) < size:
            raise ConnectionResetError("the client hung up")
        return content

    def answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serve(repositories: dict[str, dict[str, Path]]) -> Iterator[tuple[str, list[str]]]:
    """Serve model repositories, given as name -> revision -> folder of its files.

    Yields its address, and the list that it adds the requests to which it did not understand.
    """
    with tempfile.TemporaryDirectory() as folder, HubServer(Path(folder)) as hub:
        for name, revisions in repositories.items():
            for revision, files in revisions.items():
                hub.storage.put_folder(name, revision, files)
        yield hub.address, hub.unknown
