"""Pages of small bundles, parsed into trees by a parser that rejects malformed markup."""

import json
from base64 import b64decode
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hmnpack.page import Evidence, page_of
from hmnpack.page.choice import by_class, by_margin
from hmnpack.page.events import log_of
from hmnpack.page.gallery import Gallery, Wall
from hmnpack.schema.manifest import Provenance
from hmnpack.schema.pruning import BetaScore, Margins, Pruning
from hmnpack.schema.score import BaselineScore, Score, Versions

DOT = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
"""A PNG of one grey pixel, so that golden pages do not depend on image compression."""

VOID = {"br", "img", "link", "meta", "wbr"}


@dataclass
class Node:
    name: str
    attributes: dict[str, str | None]
    children: list["Node | str"] = field(default_factory=list)

    def all(self, name=None, **wanted):
        """Yield all descendants with a name and attributes."""
        for child in self.children:
            if isinstance(child, Node):
                fits = all(child.attributes.get(key.rstrip("_")) == wanted[key] for key in wanted)
                if name in (None, child.name) and fits:
                    yield child
                yield from child.all(name, **wanted)

    def one(self, name=None, **wanted):
        (found,) = self.all(name, **wanted)
        return found

    @property
    def text(self):
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"{tag}: an attribute is there twice"
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag):
        assert tag not in VOID
        assert self.open.pop().name == tag

    def handle_data(self, data):
        self.open[-1].children.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")


def tree(text):
    """Parse markup; every element must be closed correctly."""
    parser = _Parser()
    parser.feed(str(text))
    parser.close()
    assert parser.open == [parser.root]
    return parser.root


def gallery_of_dots(manifest):
    def wall(choice):
        return Wall(8, 8, choice.factor, tuple(tuple((i, DOT) for i in row) for row in choice.rows))

    walls = [by_class(manifest)]
    if manifest.margins:
        walls += by_margin(manifest, manifest.margins)
    return Gallery(*map(wall, walls))


def log_lines():
    """Yield the lines of a log: two networks, a warm-up, matching with probes."""

    def progress(stage, done, total, **figures):
        facts = {"seconds": 60.0, "stage": stage, "done": done, "total": total, "figures": figures}
        return {"event": "progress", "utc": "x", **facts}

    events = [{"event": "begun", "utc": "x", "seconds": 0.0}]
    events += [
        progress(f"pool network {n}", e, 3, loss=2.0 / e + n) for n in (1, 2) for e in (1, 2, 3)
    ]
    events += [progress("warm-up", step, 4, loss=1.0 / step) for step in (1, 2, 3, 4)]
    events += [
        progress("matching", step, 10, loss=50.0 / step**2, accuracy=20.0 + step)
        for step in range(1, 11)
    ]
    events += [{"event": "ended", "utc": "x", "seconds": 120.0}]
    return [json.dumps(event).encode() + b"\n" for event in events]


@pytest.fixture
def parsed():
    return tree


@pytest.fixture
def lines():
    return log_lines()


@pytest.fixture
def run_log():
    return log_of(log_lines())


@pytest.fixture
def dots():
    return gallery_of_dots


@pytest.fixture
def opened():
    """Return a function that makes and parses the page of a manifest, with one-pixel images."""

    def make(manifest, **more):
        return tree(page_of(Evidence(manifest, gallery_of_dots(manifest), **more)))

    return make


@pytest.fixture
def full_facts():
    """All optional keys of a manifest, for 2 classes with 4 images each."""
    scores = (
        BetaScore(beta=0.0, accuracies=(60.0, 61.0)),
        BetaScore(beta=0.5, accuracies=(62.0, 64.0)),
        BetaScore(beta=1.0, accuracies=(58.0, 59.0)),
    )
    pruning = Pruning(
        strategy="double-end",
        config={"betas": [0.0, 0.5, 1.0]},
        seed=7,
        instances=6,
        beta=0.5,
        held_out=10,
        scores=scores,
    )
    control = BaselineScore(
        name="random real, same floats", images=2, mean=20.0, std=3.0, networks=3
    )
    score = Score(
        protocol="short",
        network="convnet",
        seed=0,
        held_out=False,
        data="made up",
        fingerprint="1" * 64,
        images=8,
        accuracies=(50.0, 52.0, 51.0),
        versions=Versions(hmnpack="0.1.0", torch="2.8.0", torchvision="0.23", python="3.11"),
        device="cuda",
        baselines=(control,),
    )
    return {
        "recipe": "smoke",
        "seed": 0,
        "holdout": 0.1,
        "margins": Margins(
            epochs=100, seeds=3, values=(9000, -5000, 10000, 0, 100, 200, -300, 400)
        ),
        "provenance": Provenance(
            hmnpack="0.1.0",
            torch="2.8.0",
            device="cpu",
            real_images_used_to_start=True,
            prunings=(pruning,),
        ),
        "scores": (score.model_dump(),),
    }


@pytest.fixture
def full_bundle(bundle_of, images, image_shape, full_facts):
    spec = images(instances=4, image=image_shape(3, 8, 8))
    return bundle_of(spec, **full_facts)


@pytest.fixture
def golden_bundles():
    """The bundles of tests/golden."""
    return Path(__file__).parents[1] / "golden"
