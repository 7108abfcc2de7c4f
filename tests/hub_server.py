"""A Hub on 127.0.0.1 that answers what `from_pretrained` asks for: revisions of model repositories, read only."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Repository -> revision -> the folder that holds its files.
Repositories = dict[str, dict[str, Path]]


def commit(repository: str, revision: str) -> str:
    """The commit a revision stands for: 40 hexadecimal digits, themselves a revision."""
    return sha1(f"{repository}@{revision}".encode()).hexdigest()


@contextmanager
def serve(repositories: Repositories) -> Iterator[tuple[str, list[str]]]:
    """The address of a running server, and the list that it adds the requests to which it did not understand."""
    unknown: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            # Split while still quoted: a branch may hold a slash.
            match [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]:
                case ["api", "models", user, name]:
                    self.info(f"{user}/{name}", "main")
                case ["api", "models", user, name, "revision", revision]:
                    self.info(f"{user}/{name}", revision)
                case ["api", "models", user, name, "tree", revision, *folder]:
                    self.tree(f"{user}/{name}", revision, "/".join(folder))
                case [user, name, "resolve", revision, *path]:
                    self.file(f"{user}/{name}", revision, "/".join(path))
                case _:
                    unknown.append(f"{self.command} {self.path}")
                    self.answer(404)

        do_HEAD = do_GET

        def folder(self, repository: str, revision: str) -> tuple[Path, str] | None:
            if repository not in repositories:
                self.answer(404, {"X-Error-Code": "RepoNotFound"})
                return None
            for name, folder in repositories[repository].items():
                if revision in (name, commit(repository, name)):
                    return folder, commit(repository, name)
            self.answer(404, {"X-Error-Code": "RevisionNotFound"})
            return None

        def info(self, repository: str, revision: str) -> None:
            if found := self.folder(repository, revision):
                files = [{"rfilename": str(p.relative_to(found[0]))} for p in found[0].rglob("*") if p.is_file()]
                body = {"id": repository, "sha": found[1], "siblings": files, "private": False, "tags": []}
                self.answer(200, body=json.dumps(body).encode())

        def tree(self, repository: str, revision: str, path: str) -> None:
            if found := self.folder(repository, revision):
                files = [p for p in (found[0] / path).glob("*") if p.is_file()]
                if not files:
                    self.answer(404, {"X-Error-Code": "EntryNotFound"})
                    return
                rows = [
                    {
                        "type": "file",
                        "path": str(p.relative_to(found[0])),
                        "size": p.stat().st_size,
                        "oid": sha1(p.read_bytes()).hexdigest(),
                    }
                    for p in files
                ]
                self.answer(200, body=json.dumps(rows).encode())

        def file(self, repository: str, revision: str, path: str) -> None:
            if found := self.folder(repository, revision):
                folder, sha = found
                if not (folder / path).is_file():
                    self.answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha})
                    return
                content = (folder / path).read_bytes()
                self.answer(200, {"X-Repo-Commit": sha, "ETag": f'"{sha1(content).hexdigest()}"'}, content)

        def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", unknown
    finally:
        server.shutdown()
        server.server_close()
