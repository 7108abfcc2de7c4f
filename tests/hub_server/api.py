"""The endpoints of the test Hub."""

import json
from dataclasses import dataclass, field
from email.message import Message
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from .storage import Refused, Storage, git_hash, is_lfs

if TYPE_CHECKING:
    from .server import Account, HubServer

DATE = "2026-01-01T00:00:00.000Z"
KINDS = ("models", "datasets", "spaces")


@dataclass
class Answer:
    """A status, headers and a body: bytes, or anything else, which becomes JSON."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Api:
    """Answers requests from a storage."""

    def __init__(self, storage: Storage, hub: "HubServer") -> None:
        self.storage, self.hub = storage, hub

    def account(self, token: str) -> "Account | None":
        if token and token not in self.hub.accounts:
            raise Refused(401, message="Invalid credentials in Authorization header")
        return self.hub.accounts.get(token)

    def may_write(self, name: str, token: str) -> None:
        account = self.account(token)
        if account is None:
            raise Refused(401, message="Invalid username or password.")
        owner = name.split("/")[0]
        if not account.write or owner not in (account.name, *account.organisations):
            raise Refused(403, message=f"You don't have the rights to write to {owner}")

    def may_read(self, kind: str, name: str, token: str) -> None:
        account = self.account(token)
        owned = account is not None and name.split("/")[0] in (account.name, *account.organisations)
        if self.storage.find(kind, name)["private"] and not owned:
            raise Refused(401, "RepoNotFound", "Repository not found")

    def answer(
        self, method: str, parts: list[str], query: dict[str, str], body: bytes, token: str, headers: Message
    ) -> Answer | None:
        """The answer to a request, None where no endpoint matches."""
        match [method, *parts]:
            case ["POST", "api", "repos", "create"]:
                return self.create(json.loads(body), token)
            case ["GET", "api", "whoami-v2"]:
                account = self.account(token)
                if account is None:
                    raise Refused(401, message="Invalid username or password.")
                orgs = [{"name": name} for name in account.organisations]
                return Answer(body={"name": account.name, "type": "user", "orgs": orgs, "auth": {}})
            case ["GET", "api", "agent-harnesses"]:
                raise Refused(404)  # the client asks now and then, and needs no answer
            case ["POST", "api", "validate-yaml"]:
                return Answer(body={"errors": [], "warnings": []})
            case [_, "api", kind, user, name, *rest] if kind in KINDS:
                return self.repository(method, kind, f"{user}/{name}", rest, query, body, token)
            case ["PUT", "upload", oid]:
                if sha256(body).hexdigest() != oid:
                    raise Refused(400, message="The content does not have the announced sha256")
                (self.storage.folder / "blobs" / f"{oid}.new").write_bytes(body)
                (self.storage.folder / "blobs" / f"{oid}.new").replace(self.storage.folder / "blobs" / oid)
                return Answer()
            case ["POST", "verify", oid]:
                size = (self.storage.folder / "blobs" / oid).stat().st_size
                return Answer(200 if size == json.loads(body)["size"] else 400)
            case ["GET" | "HEAD", *place] if "resolve" in place:
                at = place.index("resolve")
                kind = place[0] if place[0] in KINDS else "models"
                name, path = "/".join(place[at - 2 : at]), "/".join(place[at + 2 :])
                return self.resolve(kind, name, place[at + 1], path, headers, token)
            case ["POST", *place, "info", "lfs", "objects", "batch"]:
                return self.lfs_batch(json.loads(body), "/".join(place[-2:]).removesuffix(".git"), token)
        return None

    def create(self, request: dict[str, Any], token: str) -> Answer:
        account = self.account(token)
        if account is None:
            raise Refused(401, message="Invalid username or password.")
        name = f"{request.get('organization') or account.name}/{request['name']}"
        self.may_write(name, token)
        kind = f"{request.get('type') or 'model'}s"
        with self.storage.lock:
            exists = f"{kind}/{name}" in self.storage.repositories
            if not exists:
                private = request.get("visibility") == "private" or bool(request.get("private"))
                self.storage.create(kind, name, private)
        place = name if kind == "models" else f"{kind}/{name}"
        body = {"url": f"{self.hub.address}/{place}", "name": name}
        return Answer(409 if exists else 200, body=body | ({"error": "You already created this"} if exists else {}))

    def repository(
        self, method: str, kind: str, name: str, rest: list[str], query: dict[str, str], body: bytes, token: str
    ) -> Answer | None:
        if method in ("POST", "DELETE") and rest[:1] != ["paths-info"]:
            # 404 before 403: whether a repository exists does not depend on the token.
            self.storage.find(kind, name)
            self.may_write(name, token)
        else:
            self.may_read(kind, name, token)
        repository = self.storage.find(kind, name)
        match [method, *rest]:
            case ["GET"]:
                return self.info(kind, name, "main")
            case ["GET", "revision", revision]:
                return self.info(kind, name, revision)
            case ["GET", "tree", revision, *folder]:
                return self.tree(
                    kind, name, revision, "/".join(folder), query.get("recursive") in ("True", "true", "1")
                )
            case ["POST", "paths-info", revision]:
                return self.paths_info(kind, name, revision, body)
            case ["GET", "refs"]:
                branches, tags = (
                    [{"name": n, "ref": f"refs/{ref}/{n}", "targetCommit": oid} for n, oid in repository[key].items()]
                    for key, ref in (("branches", "heads"), ("tags", "tags"))
                )
                return Answer(body={"branches": branches, "tags": tags, "converts": []})
            case ["GET", "commits", revision]:
                commits = self.storage.history(repository, revision)
                rows = [{"id": oid, "authors": [], "date": DATE, **commit} for oid, commit in commits]
                return Answer(body=[{k: v for k, v in row.items() if k != "files"} for row in rows])
            case ["POST", "preupload", revision]:
                return self.preupload(kind, name, revision, json.loads(body))
            case ["POST", "commit", branch]:
                oid = self.storage.commit(kind, name, branch, [json.loads(line) for line in body.splitlines()])
                url = f"{self.hub.address}/{name}/commit/{oid}"
                return Answer(body={"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})
            case ["POST", "branch", branch]:
                start = json.loads(body or b"{}").get("startingPoint", "main")
                return self.refer(repository, "branches", branch, start)
            case ["POST", "tag", revision]:
                return self.refer(repository, "tags", json.loads(body)["tag"], revision)
            case ["DELETE", "branch", branch]:
                del repository["branches"][branch]
                self.storage.save()
                return Answer()
        return None

    def refer(self, repository: dict[str, Any], key: str, name: str, start: str) -> Answer:
        with self.storage.lock:
            if name in repository[key]:
                raise Refused(409, message=f"Reference already exists: {name}")
            repository[key][name] = self.storage.resolve(repository, start)
            self.storage.save()
        return Answer()

    def info(self, kind: str, name: str, revision: str) -> Answer:
        repository = self.storage.find(kind, name)
        sha = self.storage.resolve(repository, revision)
        files = repository["commits"][sha]["files"]
        siblings = [
            {"rfilename": path, "size": entry["size"], "blobId": entry["oid"]} for path, entry in files.items()
        ]
        body = {"id": name, "sha": sha, "siblings": siblings, "private": repository["private"], "tags": []}
        return Answer(body=body | {"lastModified": DATE, "createdAt": DATE, "downloads": 0, "likes": 0})

    def tree(self, kind: str, name: str, revision: str, folder: str, recursive: bool) -> Answer:
        files = self.storage.files(kind, name, revision)
        prefix = f"{folder}/" if folder else ""
        rows, folders = [], set()
        for path, entry in files.items():
            if not path.startswith(prefix):
                continue
            parents = path.removeprefix(prefix).split("/")[:-1]
            folders |= {
                prefix + "/".join(parents[: i + 1]) for i in range(len(parents) if recursive else min(1, len(parents)))
            }
            if recursive or not parents:
                rows.append(describe(path, entry))
        if folder and not rows and not folders:
            raise Refused(404, "EntryNotFound", f"{folder} does not exist")
        rows += [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
        return Answer(body=rows)

    def paths_info(self, kind: str, name: str, revision: str, body: bytes) -> Answer:
        text = body.decode()
        paths = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text)["paths"]
        files = self.storage.files(kind, name, revision)
        rows = [describe(path, files[path]) for path in paths if path in files]
        for path in set(paths) - set(files):
            if any(file.startswith(f"{path}/") for file in files):
                rows.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
        return Answer(body=rows)

    def preupload(self, kind: str, name: str, revision: str, request: dict[str, Any]) -> Answer:
        files = self.storage.files(kind, name, revision)
        rows = []
        for file in request["files"]:
            mode = "lfs" if is_lfs(file["path"], file["size"]) else "regular"
            row = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
            if known := files.get(file["path"]):
                row["oid"] = known["lfs"] or known["oid"]
            rows.append(row)
        return Answer(body={"files": rows})

    def lfs_batch(self, request: dict[str, Any], name: str, token: str) -> Answer:
        self.may_write(name, token)
        blobs = self.storage.folder / "blobs"
        stored = sum(path.stat().st_size for path in blobs.iterdir())
        rows = []
        for wanted in request["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            row = {"oid": oid, "size": size, "authenticated": True}
            if not (blobs / oid).exists():
                stored += size
                actions = {
                    "upload": {"href": f"{self.hub.address}/upload/{oid}", "header": {}},
                    "verify": {"href": f"{self.hub.address}/verify/{oid}"},
                }
                row["actions"] = actions
            rows.append(row)
        if self.hub.quota is not None and stored > self.hub.quota:
            raise Refused(403, message="Private repository storage limit reached, please upgrade your plan")
        return Answer(body={"transfer": "basic", "objects": rows})

    def resolve(self, kind: str, name: str, revision: str, path: str, headers: Message, token: str) -> Answer:
        self.may_read(kind, name, token)
        repository = self.storage.find(kind, name)
        sha = self.storage.resolve(repository, revision)
        entry = repository["commits"][sha]["files"].get(path)
        if entry is None:
            raise Refused(404, "EntryNotFound", "Entry not found", X_Repo_Commit=sha)
        content = self.storage.content(entry)
        etag = entry["lfs"] or git_hash(content)
        answer = {"X-Repo-Commit": sha, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if entry["lfs"]:
            answer |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(entry["size"])}
        if wanted := headers.get("Range"):
            first, last = wanted.removeprefix("bytes=").split("-")
            end = int(last) + 1 if last else len(content)
            answer["Content-Range"] = f"bytes {first}-{end - 1}/{len(content)}"
            return Answer(206, answer, content[int(first) : end])
        return Answer(200, answer, content)


def describe(path: str, entry: dict[str, Any]) -> dict[str, Any]:
    row = {"type": "file", "path": path, "size": entry["size"], "oid": entry["oid"]}
    if entry["lfs"]:
        row["lfs"] = {"oid": entry["lfs"], "size": entry["size"], "pointerSize": 134}
    return row
