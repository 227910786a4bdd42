"""Expert trajectories: the weights of networks after every epoch of their training on real images.

They are stored in the cache, one file per epoch. The training has neither momentum nor a schedule,
so a file is both a part of the trajectory and the state from which an interrupted training resumes,
and budgets that need trajectories of different lengths share their beginning. An expert is trained
for no more epochs than students may need, and only two files are in memory at a time.
"""

import shutil
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmnpack.augment import apply
from hmnpack.errors import BadSettings
from hmnpack.matching.families import draw_family
from hmnpack.matching.objective import Match
from hmnpack.matching.trajectory import Segment, Weights
from hmnpack.networks import build_network
from hmnpack.networks.draws import seeded_layers
from hmnpack.runtime.devices import kind_of, to_device
from hmnpack.runtime.kept import Entry, State, Store
from hmnpack.runtime.seeds import stream
from hmnpack.schema.mtt import MttConfig
from hmnpack.training.loop import in_batches, mean_loss

_KIND = "expert-1"
"""Kind and version of cache entries; increase it when the trained weights or their layout change.
"""


@dataclass
class Experts:
    """The trajectories of all experts of a run.

    Attributes:
        match: Data, settings, cache.
        network: A network of their architecture; its weights carry no meaning.
    """

    match: Match[MttConfig]
    network: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        self.network = self._untrained(0)

    def ready(self) -> None:
        """Train the experts that the cache lacks; an interrupted training resumes.

        Raises:
            BadSettings: if they cannot be stored, or the disk has no room for them.
            Paused: from the check after each epoch.
        """
        done = [self._done(index) for index in range(self.match.config.experts)]
        missing = self.match.config.experts * (self.match.config.epochs + 1) - sum(done)
        if not missing:
            return
        self._store.check_writable("the cache", "name another with --cache-dir or HMNPACK_CACHE")
        self._check_room(missing)
        for index in range(self.match.config.experts):
            self._train(index, done[index])

    def segment(self, index: int, epoch: int, dtype: torch.dtype = torch.float32) -> Segment:
        """Return the part of a trajectory that starts after an epoch of an expert.

        Args:
            index: Index of the expert.
            epoch: Completed epochs at the start.
            dtype: Type of the weights.
        """
        config = self.match.config
        start, target = (
            tuple(value.to(dtype) for value in self._weights(index, each))
            for each in (epoch, epoch + config.expert_epochs)
        )
        return Segment(start, target, config.student_steps)

    def _weights(self, index: int, epoch: int) -> Weights:
        """Return the parameters after an epoch, in the order of the network's parameters."""
        state = self._stored(index, epoch)
        return tuple(state[name] for name, _ in self.network.named_parameters())

    def _stored(self, index: int, epoch: int) -> State:
        """Return the state of an expert's network after an epoch."""
        entry = self._entry(index, epoch)
        state = entry.value(self.match.data.device)
        if state is None:
            raise BadSettings(
                f"cannot read {entry.path}; delete it and start again, which trains that expert "
                "from there on"
            )
        return state

    @cached_property
    def _store(self) -> Store:
        if self.match.cache is None:
            raise BadSettings("expert trajectories need a cache; name one with --cache-dir")
        return Store(self.match.cache / "experts")

    def _entry(self, index: int, epoch: int) -> Entry:
        return self._store.entry(_KIND, *self._facts, index, epoch)

    @cached_property
    def _facts(self) -> tuple[object, ...]:
        """Everything that determines the weights, except the expert's index and the epoch."""
        data, config = self.match.data, self.match.config
        training = (config.expert_lr, config.expert_batch, config.augment)
        network = config.network.model_dump_json()
        return data.fingerprint, network, training, self.match.seed, kind_of(data.device)

    def _done(self, index: int) -> int:
        """Return the number of stored files of an expert, without a gap from epoch 0 on."""
        epochs = range(self.match.config.epochs + 1)
        return next((e for e in epochs if not self._entry(index, e).path.exists()), len(epochs))

    def _check_room(self, files: int) -> None:
        """Check that the disk has room for some more files.

        Raises:
            BadSettings: if it has not.
        """
        size = sum(v.numel() * v.element_size() for v in self.network.state_dict().values())
        needed, folder = files * size, self._store.folder
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise BadSettings(
                f"the experts need {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB "
                "are free; lower rival.experts, or name another folder with --cache-dir"
            )

    def _untrained(self, index: int) -> nn.Module:
        data, config = self.match.data, self.match.config
        generator = stream(self.match.seed, "expert", index)
        network = build_network(
            config.network, classes=data.classes, image=data.shape, generator=generator
        )
        return network.to(data.device).train()

    def _train(self, index: int, done: int) -> None:
        """Train an expert from its last stored epoch on, and store every epoch."""
        config, network = self.match.config, self._untrained(index)
        if done == 0:
            self._entry(index, 0).finish(network.state_dict())
        elif done <= config.epochs:
            network.load_state_dict(self._stored(index, done - 1))
        optimiser = torch.optim.SGD(network.parameters(), config.expert_lr)
        for epoch in range(max(done - 1, 0), config.epochs):
            loss = self._epoch(network, optimiser, index, epoch)
            self._entry(index, epoch + 1).finish(network.state_dict())
            all_epochs = (
                index * config.epochs + epoch + 1,
                self.match.config.experts * config.epochs,
            )
            self.match.listener("expert trajectories", *all_epochs, loss=loss)
            self.match.check()

    def _epoch(
        self, network: nn.Module, optimiser: torch.optim.SGD, index: int, epoch: int
    ) -> float:
        """Train an expert for one epoch; return the mean loss."""
        data, config = self.match.data, self.match.config
        generator = stream(self.match.seed, "expert", index, "epoch", epoch)
        order = to_device(torch.randperm(len(data.labels), generator=generator), data.device)
        losses: list[Tensor] = []
        with seeded_layers(
            network, stream(self.match.seed, "expert", index, "own", epoch), data.device
        ):
            for rows in in_batches(order, config.expert_batch, network):
                draws = draw_family(config.augment, len(rows), generator, data.device)
                images = apply(data.normalised(rows), draws)
                loss = F.cross_entropy(network(images), data.labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(loss.detach())
        return mean_loss(torch.stack(losses), epoch * len(losses), f"expert {index + 1}")
