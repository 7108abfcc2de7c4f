"""The storage of the test Hub: repositories with commits, branches, tags and files."""

import base64
import json
import threading
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".parquet", ".arrow", ".gguf", ".npy", ".png")
GIT_ATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES).encode()


class Refused(Exception):
    """A rejected request, with its answer."""

    def __init__(self, status: int, code: str = "", message: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if code:
            self.headers["X-Error-Code"] = code
        if message:
            self.headers["X-Error-Message"] = message


def commit(repository: str, revision: str) -> str:
    """The commit that `Storage.put_folder` gives a revision: 40 hexadecimal digits."""
    return sha1(f"{repository}@{revision}".encode()).hexdigest()


def git_hash(content: bytes) -> str:
    return sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def is_lfs(path: str, size: int) -> bool:
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > 2**20)


class Storage:
    """The Hub's content in a folder, which a restarted server reads again.

    Args:
        folder: `state.json`, `objects/` for small files and `blobs/` for LFS ones; may be that of a server before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        for name in ("objects", "blobs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        path = folder / "state.json"
        state = json.loads(path.read_text()) if path.exists() else {"repositories": {}}
        self.repositories: dict[str, dict[str, Any]] = state["repositories"]

    def save(self) -> None:
        temporary = self.folder / "state.json.new"
        temporary.write_text(json.dumps({"repositories": self.repositories}))
        temporary.replace(self.folder / "state.json")

    def create(self, kind: str, name: str, private: bool) -> None:
        repository = {"private": private, "branches": {}, "tags": {}, "commits": {}}
        self.repositories[f"{kind}/{name}"] = repository
        files = {".gitattributes": self.put(".gitattributes", GIT_ATTRIBUTES)}
        repository["branches"]["main"] = self._commit(repository, None, "initial commit", files)
        self.save()

    def find(self, kind: str, name: str) -> dict[str, Any]:
        try:
            return self.repositories[f"{kind}/{name}"]
        except KeyError:
            raise Refused(404, "RepoNotFound", "Repository not found") from None

    def resolve(self, repository: dict[str, Any], revision: str) -> str:
        """The commit a branch, tag or commit stands for."""
        for oid in (repository["branches"].get(revision), repository["tags"].get(revision), revision):
            if oid in repository["commits"]:
                return oid
        raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def files(self, kind: str, name: str, revision: str) -> dict[str, dict[str, Any]]:
        repository = self.find(kind, name)
        return repository["commits"][self.resolve(repository, revision)]["files"]

    def history(self, repository: dict[str, Any], revision: str) -> list[tuple[str, dict[str, Any]]]:
        """Commits, the newest first."""
        oid: str | None = self.resolve(repository, revision)
        commits = []
        while oid is not None:
            commits.append((oid, repository["commits"][oid]))
            oid = repository["commits"][oid]["parent"]
        return commits

    def put(self, path: str, content: bytes) -> dict[str, Any]:
        """Store a file; returns its entry in a commit."""
        if is_lfs(path, len(content)):
            oid = sha256(content).hexdigest()
            (self.folder / "blobs" / oid).write_bytes(content)
            return {"size": len(content), "oid": git_hash(oid.encode()), "lfs": oid}
        oid = git_hash(content)
        (self.folder / "objects" / oid).write_bytes(content)
        return {"size": len(content), "oid": oid, "lfs": None}

    def content(self, entry: dict[str, Any]) -> bytes:
        place = self.folder / "blobs" / entry["lfs"] if entry["lfs"] else self.folder / "objects" / entry["oid"]
        return place.read_bytes()

    def read(self, kind: str, name: str, revision: str) -> dict[str, bytes]:
        """All files of a revision, for tests to look at."""
        return {path: self.content(entry) for path, entry in self.files(kind, name, revision).items()}

    def commit(self, kind: str, name: str, branch: str, lines: list[dict[str, Any]]) -> str:
        """Apply the lines of a commit request to a branch."""
        with self.lock:
            repository = self.find(kind, name)
            if branch not in repository["branches"]:
                raise Refused(404, "RevisionNotFound", f"Invalid rev id: {branch}")
            head = repository["branches"][branch]
            header = lines[0]["value"]
            if header.get("parentCommit", head) != head:
                raise Refused(412, message="A commit has happened since. Please refresh and try again.")
            files = dict(repository["commits"][head]["files"])
            for line in lines[1:]:
                value = line["value"]
                path = value["path"]
                match line["key"]:
                    case "file":
                        content = base64.b64decode(value["content"])
                        oid = git_hash(content)
                        (self.folder / "objects" / oid).write_bytes(content)
                        files[path] = {"size": len(content), "oid": oid, "lfs": None}
                    case "lfsFile":
                        blob = self.folder / "blobs" / value["oid"]
                        if not blob.exists():
                            raise Refused(400, message=f"LFS pointer to a file that does not exist: {path}")
                        pointer = git_hash(value["oid"].encode())
                        files[path] = {"size": blob.stat().st_size, "oid": pointer, "lfs": value["oid"]}
                    case "deletedFile":
                        del files[path]
                    case "deletedFolder":
                        files = {p: entry for p, entry in files.items() if not p.startswith(path.rstrip("/") + "/")}
            oid = self._commit(repository, head, header["summary"], files, header.get("description", ""))
            repository["branches"][branch] = oid
            self.save()
            return oid

    def put_folder(self, name: str, revision: str, folder: Path) -> None:
        """Create a revision of a model repository from a folder; `commit` gives its commit."""
        if f"models/{name}" not in self.repositories:
            self.create("models", name, private=False)
        repository = self.find("models", name)
        paths = [path for path in folder.rglob("*") if path.is_file()]
        files = {str(path.relative_to(folder)): self.put(path.name, path.read_bytes()) for path in paths}
        oid = commit(name, revision)
        repository["commits"][oid] = {"parent": None, "title": revision, "message": "", "files": files}
        repository["branches"][revision] = oid
        self.save()

    def _commit(
        self, repository: dict[str, Any], parent: str | None, title: str, files: dict[str, Any], message: str = ""
    ) -> str:
        commit = {"parent": parent, "title": title, "message": message, "files": files}
        oid = sha1(json.dumps([commit, len(repository["commits"])]).encode()).hexdigest()
        repository["commits"][oid] = commit
        return oid
