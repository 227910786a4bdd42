"""The card of a file, as the hub's own library parses it."""

import re

import pytest

from hmnpack.bundle.card import Entry, card_of, plain
from hmnpack.schema.manifest import SourceFacts
from hmnpack.schema.score import BaselineScore, Score

library = pytest.importorskip("huggingface_hub")

HOSTILE = 'a---\n---\n: "x" <b>\x1b[2J\u202e | `c` [d](e) #!\ud800 # y'


def score(**changes):
    facts = {"protocol": "short", "network": "convnet", "seed": 3, "data": "pets"}
    facts |= {"held_out": False, "fingerprint": "1" * 64, "images": 6, "accuracies": (50.0, 52.0)}
    baseline = BaselineScore(name="random real", images=2, mean=30.25, std=2.0, networks=2)
    return Score.model_validate(facts | {"baselines": (baseline,)} | changes)


@pytest.fixture
def entry(bundle_of, hmn):
    def make(**facts):
        manifest = bundle_of(hmn(), **facts).manifest
        return Entry(manifest, "me/pets", "pets.hmn", 12345, "cc-by-4.0")

    return make


def source(name):
    return SourceFacts(
        name=name, fingerprint="0" * 64, train_images=10, held_out=1, skipped={"litter": 1}
    )


def test_metadata_load_in_the_library_of_the_hub(entry):
    text = card_of(entry())
    card = library.DatasetCard(text)
    assert card.data.to_dict() == {
        "pretty_name": "made up, condensed to 1 image per class",
        "license": "cc-by-4.0",
        "task_categories": ["image-classification"],
        "size_categories": ["n<1K"],
        "tags": ["dataset-condensation", "dataset-distillation", "synthetic", "hmnpack"],
        "viewer": False,
    }
    assert isinstance(card.data, library.DatasetCardData)
    assert card.content.strip() == text.strip()


def test_card_states_budget_scores_and_controls(entry):
    text = card_of(entry(scores=(score(), score(held_out=True, config={"train.epochs": 9}))))
    for line in (
        "| these images | 6 | 51.0 ± 1.4 | 2 |",
        "| random real | 2 | 30.2 ± 2.0 | 2 |",
        "**convnet, tested on pets** (protocol short, seed 3):",
        "**convnet, tested on images held out of pets** (protocol short, seed 3, but "
        "train.epochs=9):",
        "| file | `pets.hmn`, 12,345 bytes |",
        "Licence of the source, as stated by who pushed this file: `cc-by-4.0`.",
        "The images were not initialised from real ones. Condensation does not make data private.",
        "hmnpack pull me/pets/pets.hmn -o pets.hmn",
        "2: ant, bee.",
    ):
        assert line in text
    manifest = entry().manifest
    assert f"{manifest.ledger.floats:,} floats, {manifest.ledger.bytes:,} bytes" in text
    assert f"`{manifest.data_sha256}`" in text
    assert "The file records no score." in card_of(entry())


def test_budget_in_bytes(entry):
    made = entry()
    budget = made.manifest.budget.model_copy(
        update={"ipc": None, "floats": None, "bytes": made.manifest.ledger.bytes}
    )
    text = card_of(entry(budget=budget))
    assert f"# made up, condensed to {budget.bytes:,} bytes\n" in text
    assert f"| budget | {budget.bytes:,} bytes |" in text


def test_hostile_names_stay_text(entry):
    facts = {"source": source(HOSTILE.replace("\ud800", "")), "scores": (score(data="`<i>|"),)}
    text = card_of(entry(**facts))
    card = library.DatasetCard(text)
    assert card.data.pretty_name.endswith(", condensed to 1 image per class")
    assert card.data.license == "cc-by-4.0" and card.data.viewer is False
    assert "\x1b" not in text and "\u202e" not in text
    body = re.sub(r"\\.", "", card.text)  # what is left if escaped characters are taken out
    assert "<" not in body and "\n---\n" not in body
    assert all(line.count("|") in (0, 3, 5) for line in body.splitlines())


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("cat", "cat"),
        ("a_b*c", r"a\_b\*c"),
        ("<b>[x](y)|`", r"\<b\>\[x\](y)\|\`"),
        ("a\nb", "a b"),
        ("\ud800", r"\\ud800"),
        ("naïve", "naïve"),
    ],
)
def test_plain_escapes_markdown(text, escaped):
    assert plain(text) == escaped


@pytest.mark.parametrize(
    ("images", "category"),
    [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (9999, "1K<n<10K"), (10_000, "10K<n<100K")],
)
def test_size_category(bundle_of, images, category):
    from hmnpack.schema.container import ImageShape, ImagesSpec

    shape = ImageShape(channels=1, height=1, width=1)
    spec = ImagesSpec(classes=1, instances=images, image=shape)
    entry = Entry(bundle_of(spec).manifest, "me/a", "a.hmn", 1, "mit")
    assert library.DatasetCard(card_of(entry)).data.size_categories == [category]


def test_many_classes_are_counted(bundle_of, images):
    names = tuple(f"c{number}" for number in range(203))
    made = bundle_of(images(classes=203), classes=names).manifest
    text = card_of(Entry(made, "me/a", "a.hmn", 1, "mit"))
    assert "203: c0, c1, " in text and "c199 and 3 more." in text and "c200" not in text


def test_stored_images_are_not_called_the_training_split(entry, bundle_of, hmn):
    """A merged or appended file describes its own images as the source."""
    count = bundle_of(hmn()).manifest.container.images
    own = SourceFacts(name="pets", fingerprint="0" * 64, train_images=count, held_out=0, skipped={})
    text = card_of(entry(source=own))
    assert "Made from pets; the file does not record its training split." in text
    assert "They stand for the training images of pets (" in text
    assert f"{count} training images" not in text
    assert f"the {count} training images of pets" in card_of(entry(source=own, recipe="fast"))
