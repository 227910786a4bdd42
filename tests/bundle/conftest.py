"""A stand-in for the Hugging Face Hub on this machine."""

import base64
import hashlib
import http.server
import json
import threading
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import pytest

PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@dataclass
class Repository:
    """Files of a repository, by commit; the last commit is that of the branch `main`."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def commit(self, **files: bytes) -> str:
        text = json.dumps([len(self.commits), sorted(files)])
        name = hashlib.sha1(text.encode()).hexdigest()
        self.commits[name] = (self.files if self.commits else {}) | files
        return name


@dataclass
class Hub:
    """State of the stand-in: what it holds, whom it lets in, and what it was asked."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)  # end of a path -> status
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def create(self, name: str, private: bool = False) -> Repository:
        made = Repository(private)
        made.commit(**{".gitattributes": b"*.hmn filter=lfs\n"})
        self.repositories[name] = made
        return made


def sibling(name: str, data: bytes) -> dict:
    """Return what the hub says of a file: of `.hmn` as one in LFS, of others as a git blob."""
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    found = {"rfilename": name, "size": len(data), "blobId": blob}
    if name.endswith(".hmn"):
        digest = hashlib.sha256(data).hexdigest()
        found |= {"blobId": "0" * 40}  # of the pointer file
        found |= {"lfs": {"size": len(data), "sha256": digest, "pointerSize": 130}}
    return found


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does, from the state in `server.hub`."""

    def answer(self, status, content=b"", **headers):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def missing(self, code):
        self.answer(404, {"error": "no"}, X_Error_Code=code)

    def do(self):
        """Dispatch a request by the words of its path, unless it is to be refused."""
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.hub.asked.append(f"{self.command} {path}")
        for end, status in self.server.hub.refuse.items():
            if path.endswith(end):
                return self.answer(status, {"error": "no"})
        match path.strip("/").split("/"):
            case ["api", "repos", "create"]:
                return self.create(json.loads(body))
            case ["api", "validate-yaml"]:
                return self.answer(200, {"errors": [], "warnings": []})
            case ["api", "datasets", owner, name]:
                return self.tell(f"{owner}/{name}", "main")
            case ["api", "datasets", owner, name, "revision", revision]:
                return self.tell(f"{owner}/{name}", revision)
            case ["api", "datasets", _, _, "preupload", "main"]:
                return self.modes(json.loads(body)["files"])
            case ["api", "datasets", owner, name, "commit", "main"]:
                return self.take(f"{owner}/{name}", [json.loads(one) for one in body.splitlines()])
            case ["datasets", owner, name, "resolve", revision, *file]:
                return self.give(f"{owner}/{name}", revision, "/".join(file))

    do_HEAD = do_GET = do_POST = do  # noqa: N815

    def commit_of(self, name, revision):
        """Return a commit and its files; answer, and return None, if there is no such commit."""
        found = self.server.hub.repositories.get(name)
        if found is None:
            return self.missing("RepoNotFound")
        commit = found.head if revision == "main" else revision
        if commit not in found.commits:
            return self.missing("RevisionNotFound")
        return commit, found.commits[commit]

    def create(self, asked):
        name = f"{asked['organization']}/{asked['name']}"
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.server.hub.create(name, private)
        self.answer(200, {"url": f"{self.server.hub.url}/datasets/{name}"})

    def tell(self, name, revision):
        found = self.commit_of(name, revision)
        if found:
            files = [sibling(*each) for each in found[1].items()]
            private = self.server.hub.repositories[name].private
            facts = {"id": name, "sha": found[0], "private": private, "siblings": files}
            self.answer(200, facts)

    def give(self, name, revision, file):
        found = self.commit_of(name, revision)
        if found and file in found[1]:
            data = found[1][file]
            etag = f'"{hashlib.sha256(data).hexdigest()}"'
            self.answer(200, data, X_Repo_Commit=found[0], ETag=etag)
        elif found:
            self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=found[0])

    def modes(self, files):
        mode = {"uploadMode": "regular", "shouldIgnore": False}
        self.answer(200, {"files": [{"path": one["path"], **mode} for one in files]})

    def take(self, name, lines):
        repository = self.server.hub.repositories[name]
        parent = lines[0]["value"].get("parentCommit")
        if parent is not None and parent != repository.head:
            return self.answer(412, {"error": "stale"})
        added = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines[1:]
        }
        oid = repository.commit(**added)
        url = f"{self.server.hub.url}/datasets/{name}/commit/{oid}"
        return self.answer(200, {"success": True, "commitOid": oid, "commitUrl": url})

    def log_message(self, *_):
        pass


@pytest.fixture
def at(monkeypatch):
    """Function that lets `huggingface_hub` look for the hub at another URL."""
    constants = pytest.importorskip("huggingface_hub.constants")

    def look(url: str) -> None:
        template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    return look


@pytest.fixture
def no_network(hub, at):
    """Let nothing answer where the hub was; its cache stays."""
    at("http://127.0.0.1:1")


@pytest.fixture
def hub(monkeypatch, tmp_path, at):
    """A stand-in for the hub, which `huggingface_hub` uses with an empty cache and a token."""
    library = pytest.importorskip("huggingface_hub")
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    state = Hub()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = state
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        state.url = f"http://127.0.0.1:{server.server_port}"
        at(state.url)
        library.close_session()
        yield state
    finally:
        library.close_session()
        server.shutdown()
        thread.join()
        server.server_close()
