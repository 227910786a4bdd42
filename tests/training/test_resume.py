"""Saving and restoring the states of trainings."""

import torch

from hmnpack.runtime.kept import Store
from hmnpack.training import saving, training_in
from hmnpack.training.loop import TrainState

CPU = torch.device("cpu")


def test_states_are_saved_from_the_first_second_at_growing_intervals(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("hmnpack.runtime.intervals.time.monotonic", lambda: now[0])
    one, two = (Store(tmp_path).entry("network-1", index) for index in range(2))
    save = saving([one, two])
    reached = []
    for epoch, now[0] in enumerate((100.5, 101.0, 102.5, 103.5), 1):
        save(slice(1, 2), [TrainState(epoch, {"w": torch.ones(1)}, {})])
        state = training_in(two, CPU)
        reached.append(state and state.epoch)
    assert reached == [None, 2, 2, 4]
    assert training_in(one, CPU) is None


def test_a_saved_state_is_restored(tmp_path):
    entry = Store(tmp_path).entry("network-1")
    state = TrainState(7, {"w": torch.arange(3.0)}, {"w": torch.ones(3)})
    saving([entry], seconds=0)(slice(0, 1), [state])
    found = training_in(entry, CPU)
    assert found.epoch == 7
    assert torch.equal(found.network["w"], state.network["w"])
    assert torch.equal(found.momentum["w"], state.momentum["w"])
