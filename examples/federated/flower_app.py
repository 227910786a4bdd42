"""The one-shot example as a Flower app: each client sends the content of its `.hmn` file, once.

    pip install -e '.[digits,flower]'
    python examples/federated/flower_app.py

Runs five clients in Flower's simulation. The condensed data are NOT differentially private.
"""

from clients import condense, split_by_dirichlet
from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation
from one_shot import SMALL, Federation, one_shot

import hmnpack

DATA = "digits"
HOW = Federation()

client_app, server_app = ClientApp(), ServerApp()


@client_app.train()
def send_file(message: Message, context: Context) -> Message:
    """Condense this client's images, and reply with the content of the file."""
    source = hmnpack.open_source(DATA)
    clients = split_by_dirichlet(source, HOW.clients, HOW.alpha, HOW.seed)
    own = clients[int(context.node_config["partition-id"])]
    settings = message.content.config_records["settings"]
    reply = ConfigRecord({"file": condense(own, HOW.ipc, dict(settings))})
    return Message(RecordDict({"hmn": reply}), reply_to=message)


@server_app.main()
def learn(grid: Grid, context: Context) -> None:
    """Ask every client for its file, and train on all of them."""
    request = RecordDict({"settings": ConfigRecord({"seed": HOW.seed, **SMALL})})
    messages = [Message(request, node, MessageType.TRAIN) for node in grid.get_node_ids()]
    replies = list(grid.send_and_receive(messages))
    for reply in replies:
        if reply.has_error():
            raise SystemExit(f"a client failed: {reply.error.reason}")
    files = sorted(reply.content.config_records["hmn"]["file"] for reply in replies)
    point = one_shot(hmnpack.open_source(DATA), HOW, files)
    print(f"{len(files)} clients sent {point.sent:,} bytes: test accuracy {point.accuracy:.1f} %")


if __name__ == "__main__":
    run_simulation(server_app, client_app, num_supernodes=HOW.clients)
