"""One case: made from a seed and a number, run under watch, judged."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from fuzz_parts import arrays, bundles, folders, lines, tables
from fuzz_parts.places import Places, changes, entered, leftovers, snapshot
from fuzz_parts.truth import Truth, compared
from fuzz_parts.watch import Outcome, called, commanded

import hmnpack
from hmnpack.errors import BadBundle
from hmnpack.sources import SourceOptions, open_source
from hmnpack.sources.tensors import tensor_source

_TO_THE_LINE = 0.2
"""Share of the datasets that are also planned by the command line."""

_DECODED = "the stored floats are too large"
"""Begin of the one error that `verify`, which decodes nothing, does not find. It has no path,
because it is also that of bundles in memory."""

_COMPRESSED = 0.04
"""Share of the datasets that are also compressed."""


def run(seed: int, number: int, root: Path) -> list[str]:
    """Run a case and return its faults; its folder is kept only if there are any.

    Args:
        seed: Seed of the cases.
        number: Number of the case, which decides its kind.
        root: Folder in which to make the folder of the case.
    """
    kind = kind_of(number)
    folder = root / f"{kind}-{seed}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    with entered(folder) as places:
        faults = KINDS[kind](Random(f"{seed}/{number}"), places)
        faults += leftovers(places)
    if faults:
        text = "\n".join(faults).encode(errors="backslashreplace")
        (folder / "faults.txt").write_bytes(text + b"\n")
    else:
        shutil.rmtree(folder)
    return faults


def kind_of(number: int) -> str:
    """Return the kind of a case."""
    return tuple(KINDS)[number % len(KINDS)]


def _dataset(make: Callable[[Random, Path], Truth], draw: Random, places: Places) -> list[str]:
    """Open what a generator wrote, twice, so that the second time is from the cache."""
    truth = make(draw, places.given)
    before = snapshot(places.given)
    options = SourceOptions(**truth.options)
    first = called(lambda: open_source(truth.spec, options))
    faults = compared(truth, first)
    second = called(lambda: open_source(truth.spec, options))
    faults += [f"from the cache: {fault}" for fault in _differences(first, second)]
    if draw.random() < _TO_THE_LINE:
        seen = called(lambda: open_source(truth.spec, options, needs_test=False))
        faults += _planned(draw, places, truth, seen)
    return faults + changes(before, snapshot(places.given))


def _differences(first: Outcome, second: Outcome) -> list[str]:
    if str(first.error) != str(second.error):
        return [f"{first.error} became {second.error}"]
    if first.error is not None:
        return []
    facts = [_facts(outcome.value) for outcome in (first, second)]
    return [] if facts[0] == facts[1] else [f"{facts[0]} became {facts[1]}"]


def _facts(source: Any) -> tuple[object, ...]:
    splits = (source.train.fingerprint, source.test and source.test.fingerprint)
    return (*splits, source.classes, dict(source.skipped), source.size, source.name)


def _planned(draw: Random, places: Places, truth: Truth, opened: Outcome) -> list[str]:
    """Run `plan`, rarely `compress`, on a dataset; compare with what Python said.

    Neither needs a test split, so it was opened without needing one.
    """
    spec = str(truth.spec)
    plan = commanded(["plan", spec, "--ipc=60", "--device=cpu", *truth.words, "--json"])
    faults = [f"plan: {fault}" for fault in plan.faults]
    if plan.code != opened.code and not (opened.code == 0 and plan.code == 2):
        faults.append(
            f"plan: exit code {plan.code}, but {opened.code} in Python: {plan.err[-300:]}"
        )
    if plan.code == 0:
        faults += _faults_of_plan(plan.out, opened.value)
    if plan.code == 0 and draw.random() < _COMPRESSED / _TO_THE_LINE:
        faults += _compressed(places, spec, truth, opened)
    return faults


def _faults_of_plan(text: str, source: Any) -> list[str]:
    """Return what `plan --json` says otherwise than the opened source."""
    faults = lines.faults_of(["--json"], 0, text)
    if faults:
        return faults
    told = json.loads(text)
    found = (told["data"], told["skipped"], told["container"]["classes"])
    wanted = (source.name, dict(source.skipped), len(source.classes))
    return [] if found == wanted else [f"plan: {found}, not {wanted}"]


def _compressed(places: Places, spec: str, truth: Truth, opened: Outcome) -> list[str]:
    output = places.out / "a.hmn"
    line = ["compress", spec, "--ipc=60", "--device=cpu", "--recipe=smoke", f"-o{output}"]
    done = commanded([*line, *truth.words])
    faults = [f"compress: {fault}" for fault in done.faults]
    if done.code != 0:
        return [*faults, f"compress: exit code {done.code}: {done.err[-300:]}"]
    read = called(lambda: hmnpack.load(output))
    if read.error:
        return [*faults, f"load: {read.error}"]
    source = read.value.manifest.source
    wanted = (opened.value.train.fingerprint, dict(opened.value.skipped))
    if (source.fingerprint, dict(source.skipped)) != wanted:
        faults.append(f"the file records {source}, not {wanted}")
    return faults


def _arrays(draw: Random, places: Places) -> list[str]:
    given = arrays.make(draw)
    (places.root / "case.txt").write_text(f"{given.words} {given.arguments}", errors="replace")
    values = arrays.comparable(given)
    before = [value.tolist() for value in values]
    done = called(lambda: tensor_source(given.train, given.test, **given.arguments))
    faults = compared(given.truth, done)
    if repr(before) != repr([value.tolist() for value in values]):  # as text, for NaN
        faults.append("the input was changed")
    if done.error is None and not faults:
        plan = called(lambda: hmnpack.plan(done.value, 2, device="cpu"))
        faults += [f"plan: {fault}" for fault in plan.faults]
    return faults


def _bundle(draw: Random, places: Places) -> list[str]:
    path, words = bundles.make(draw, places.given)
    before = snapshot(places.given)
    (places.root / "case.txt").write_text(words)
    inspected = called(lambda: hmnpack.inspect(path, verify=True))
    loaded = called(lambda: hmnpack.load(path).tensors())
    faults = [*inspected.faults, *loaded.faults]
    for outcome in (inspected, loaded):
        error = outcome.error
        if isinstance(error, hmnpack.HmnError) and not (
            isinstance(error, BadBundle) and str(error).startswith((str(path), _DECODED))
        ):
            faults.append(f"refused without the path: {type(error).__name__}: {error}")
    if inspected.error and not loaded.error:
        faults.append(f"loaded, although inspect says: {inspected.error}")
    faults += _shown(draw, path, places.out, loaded)
    return faults + changes(before, snapshot(places.given))


def _shown(draw: Random, path: Path, out: Path, loaded: Outcome) -> list[str]:
    """Run a command on a file, which accepts it if it was loaded."""
    target = str(out / draw.choice(("images", "a.png", "a.tar", "a.parquet", "a.html")))
    kind = {"png": "sheet", "tar": "tar", "parquet": "parquet"}.get(target.rpartition(".")[2])
    show = ["report", str(path), "-o", target]
    write = ["expand", str(path), "-o", target, f"--format={kind or 'folder'}"]
    line = draw.choice((show if target.endswith("html") else write, ["verify", str(path)]))
    done = commanded(line)
    faults = [f"{line[0]}: {fault}" for fault in done.faults]
    decoded = line[0] != "verify" or _DECODED not in str(loaded.error)
    if (done.code == 0) != (loaded.error is None) and done.code != 2 and decoded:
        faults.append(f"{line[0]}: exit code {done.code}, load: {loaded.error}: {done.err[-200:]}")
    if done.code == 0 and line[0] == "expand" and target.endswith("images"):
        written, images = len(list(out.rglob("*.png"))), len(loaded.value[0])
        faults += [] if written == images else [f"expand wrote {written} of {images} images"]
    if done.code != 0 and any(out.iterdir()):
        faults.append(f"{line[0]} left {[entry.name for entry in out.iterdir()]}")
    return faults


def _line(draw: Random, places: Places) -> list[str]:
    line = lines.make(draw, places)
    text = repr(line).encode(errors="backslashreplace")
    (places.root / "case.txt").write_bytes(text)
    given, out = snapshot(places.given), snapshot(places.out)
    done = commanded(line)
    faults = [*done.faults, *lines.faults_of(line, done.code, done.out)]
    found = snapshot(places.out)
    if done.code not in (0, 5):
        faults += [f"exit code {done.code}: {fault}" for fault in changes(out, found)]
    elif "--force" not in line:
        kept = {name: found[name] for name in out if name in found}
        faults += [f"without --force: {fault}" for fault in changes(out, kept)]
    if "--record" not in line:
        faults += changes(given, snapshot(places.given))
    return [f"{fault} [hmnpack {' '.join(line)[:400]}]" for fault in faults]


KINDS: dict[str, Callable[[Random, Places], list[str]]] = {
    "folder": partial(_dataset, folders.make),
    "table": partial(_dataset, tables.make),
    "array": _arrays,
    "bundle": _bundle,
    "line": _line,
}
"""Kinds of cases, in turn: a kind is that of every fifth number."""
