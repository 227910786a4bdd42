"""Files of the Hugging Face Hub, from a hub on this machine."""

import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import hmnpack
from hmnpack.bundle import inspect, read
from hmnpack.bundle.faults import NotABundle
from hmnpack.errors import BadSettings, MissingExtra

GOLDEN = Path(__file__).parents[1] / "golden" / "v1-hmn.hmn"

huggingface_hub = pytest.importorskip("huggingface_hub")
LocalEntryNotFoundError = pytest.importorskip("huggingface_hub.errors").LocalEntryNotFoundError


@pytest.fixture
def requests(monkeypatch):
    """Replace the download by a golden file, and list what is requested."""
    found = []

    def download(repository, file, *, repo_type, revision):
        found.append((repository, file, repo_type, revision))
        return str(GOLDEN)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return found


@pytest.mark.parametrize(
    ("address", "requested"),
    [
        ("hf://me/digits/a.hmn", ("me/digits", "a.hmn", "dataset", None)),
        ("hf://datasets/me/digits/a.hmn", ("me/digits", "a.hmn", "dataset", None)),
        ("hf://models/me/net/in/a.hmn", ("me/net", "in/a.hmn", "model", None)),
        ("hf://me/digits@v1.0/in/a.hmn", ("me/digits", "in/a.hmn", "dataset", "v1.0")),
        ("hf://me/digits@refs%2Fpr%2F1/a.hmn", ("me/digits", "a.hmn", "dataset", "refs/pr/1")),
    ],
)
def test_address_names_repository_revision_and_file(requests, address, requested):
    assert read(address).to_bytes() == GOLDEN.read_bytes()
    assert inspect(address, verify=True) == inspect(GOLDEN)
    dataset = hmnpack.load(address)
    assert (len(dataset), dataset.root) == (6, address)
    assert requests == [requested] * 3


@pytest.mark.parametrize("address", ["hf://", "hf://me", "hf://me/digits", "hf://me/@v1/a.hmn"])
def test_address_without_a_file_is_refused(requests, address):
    with pytest.raises(BadSettings, match=r"does not name a file: use hf://owner/name/file\.hmn"):
        read(address)
    assert requests == []


def test_addresses_are_only_read(requests, tmp_path):
    bundle = read("hf://me/digits/a.hmn")
    for write in (
        lambda: bundle.save("hf://me/digits/b.hmn"),
        lambda: hmnpack.expand(bundle, "hf://me/digits/out"),
    ):
        with pytest.raises(BadSettings, match="only read; give a path"):
            write()
    out = hmnpack.expand("hf://me/digits/a.hmn", tmp_path / "out")
    assert len(list(out.rglob("*.png"))) == 6


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("no route to host"), "no route to host"),
        (ValueError("bad repo id"), "bad repo id"),
        (LocalEntryNotFoundError("offline"), "not in the cache"),
    ],
)
def test_failed_download_is_one_line(monkeypatch, error, said):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(NotABundle, match=rf"^hf://me/a/a\.hmn: cannot be fetched \(.*{said}"):
        read("hf://me/a/a.hmn")


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"\[hub\]"):
        read("hf://me/a/a.hmn")


class Hub(http.server.BaseHTTPRequestHandler):
    """The part of the hub that gives files: one file at one revision."""

    def do_HEAD(self):
        data = GOLDEN.read_bytes()
        found = self.path == "/datasets/me/digits/resolve/v1/a.hmn"
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Repo-Commit", "0123456789" * 4)
            self.send_header("ETag", '"abc"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(data)) if found else "0")
        self.end_headers()
        if found and self.command == "GET":
            self.wfile.write(data)

    do_GET = do_HEAD  # noqa: N815

    def log_message(self, *_):
        pass


def shown(url, home, address, command="inspect", **environment):
    unset = ("HF_HUB_OFFLINE", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    words = [sys.executable, "-m", "hmnpack", command, address]
    settings = {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"} | environment
    environment = inherited | settings
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_file_is_fetched_once_and_read_offline_afterwards(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url, address = f"http://127.0.0.1:{server.server_port}", "hf://me/digits@v1/a.hmn"
    first = shown(url, tmp_path, address)
    missing = shown(url, tmp_path, "hf://me/digits@v1/b.hmn")
    server.shutdown()
    thread.join()
    server.server_close()
    assert first.returncode == 0 and address in first.stdout
    assert "training images" in first.stdout
    assert missing.returncode == 4 and "(the repository has no such file)" in missing.stderr
    for environment in ({"HF_HUB_OFFLINE": "1"}, {}):
        again = shown(url, tmp_path, address, "verify", **environment)
        assert again.returncode == 0 and "6 images" in again.stdout
    never = shown(url, tmp_path, "hf://me/digits@v1/b.hmn", HF_HUB_OFFLINE="1")
    assert never.returncode == 4 and "not in the cache" in never.stderr
    assert len(never.stderr.splitlines()) == 1
