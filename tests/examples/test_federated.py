"""The federated example, at a tiny scale on digits."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TINY = {
    "pool.network.width": 4,
    "pool.min_steps": 5,
    "pool.size": 1,
    "pool.train.epochs": 1,
    "warmup.steps": 60,
    "match.steps": 5,
}

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no source tree")


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Function that imports a script, as when Python runs it."""
    pytest.importorskip("sklearn")
    monkeypatch.setenv("HMNPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    for folder in ("reproduce", "federated"):
        monkeypatch.syspath_prepend(str(EXAMPLES / folder))

    def script(name):
        spec = importlib.util.spec_from_file_location(f"example_{Path(name).stem}", EXAMPLES / name)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # its dataclasses look for it
        spec.loader.exec_module(module)
        return module

    return script


def digits():
    import hmnpack

    return hmnpack.open_source("digits")


def test_every_training_image_goes_to_one_client(load):
    source = digits()
    parts = load("federated/clients.py").split_by_dirichlet(source, 4, 0.2, seed=1)
    assert any(len(part.classes) < 10 for part in parts), "no client lacks a class"
    assert all(len(part.classes) > 1 for part in parts)
    found = sorted(
        (bytes(digest), part.classes[label])
        for part in parts
        for digest, label in zip(part.train.digests.numpy(), part.train.labels, strict=True)
    )
    assert found == sorted(
        (bytes(digest), source.classes[label])
        for digest, label in zip(source.train.digests.numpy(), source.train.labels, strict=True)
    )


def test_round_of_fedavg_is_the_weighted_mean_of_the_clients(load):
    fedavg, learning = load("federated/fedavg.py"), load("federated/learning.py")
    source = digits()
    clients = [source.only(["7", "2"]), source.only(["1"])]
    given = []

    class Recorder:
        def train(self, network, images, labels, steps):
            given.append((len(images), sorted(set(labels.tolist())), steps))
            torch.nn.init.constant_(network[0].weight, len(given))

    network = learning.convnet((1, 8, 8), 10, 4, torch.Generator().manual_seed(0))
    learned = next(fedavg.rounds(network, clients, source.classes, Recorder(), 3))
    sizes = [len(client.train) for client in clients]
    assert given == [(sizes[0], [2, 7], 3), (sizes[1], [1], 3)]
    expected = torch.full_like(learned[0].weight, (sizes[0] + 2 * sizes[1]) / sum(sizes))
    torch.testing.assert_close(learned[0].weight, expected)
    floats = sum(parameter.numel() for parameter in network.parameters())
    assert fedavg.bytes_per_round(network, 2) == 2 * 4 * floats


@pytest.mark.slow
def test_server_learns_from_what_clients_send(load, monkeypatch, tmp_path, capsys):
    federated = load("reproduce/federated.py")
    monkeypatch.setattr(federated, "RESULTS", tmp_path / "results")
    words = ["--data", "digits", "--clients", "2", "--seeds", "0", "1", "--rounds", "2"]
    words += ["--local", "20", "--steps", "500", "--ipc", "4", "--work", str(tmp_path / "work")]
    words += [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
    monkeypatch.setattr(sys, "argv", ["federated.py", *words])
    federated.main()
    result = json.loads((tmp_path / "results" / "federated-digits.json").read_text())
    assert [row["name"] for row in result["baselines"]] == ["FedAvg, round 1", "FedAvg, round 2"]
    first, second = (row["figures"]["bytes"] for row in result["baselines"])
    assert 0 < result["figures"]["bytes_sent"] < first == second / 2
    assert result["accuracy_mean"] > 30, "a tenth is chance"
    assert "digits, client 1: " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_flower_app_learns_from_replies(load, monkeypatch, capsys):
    pytest.importorskip("flwr")
    from flwr.app import Context, RecordDict
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("_task_id", "_run_id", "_node_id"):  # the simulation sets them
        monkeypatch.setattr(TaskIdentity, name, 1)
    app = load("federated/flower_app.py")
    monkeypatch.setattr(app, "SMALL", TINY)
    monkeypatch.setattr(app, "HOW", app.Federation(clients=2, ipc=4, steps=500))

    class Grid:
        def get_node_ids(self):
            return [11, 12]

        def send_and_receive(self, messages):
            for number, message in enumerate(messages):
                assert message.metadata.dst_node_id == 11 + number
                node = {"partition-id": number, "num-partitions": 2}
                yield app.client_app(message, Context(1, 11 + number, node, RecordDict(), {}))

    app.server_app(Grid(), Context(1, 0, {}, RecordDict(), {}))
    printed = capsys.readouterr().out
    assert "2 clients sent" in printed
    assert float(printed.split("accuracy ")[1].split(" ")[0]) > 15, "a tenth is chance"
