"""Settings: every one of them, with its meaning."""

from pydantic import BaseModel

from hmnpack.page.settings import leaves, settings, written
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.recipes import SMOKE


def count(model):
    values = [getattr(model, name) for name in type(model).model_fields]
    return sum(count(value) if isinstance(value, BaseModel) else 1 for value in values)


def test_every_setting_is_there_once():
    found = list(leaves(SMOKE))
    assert len(found) == len({path for path, _, _ in found}) == count(SMOKE)
    assert all(meaning for _, _, meaning in found)
    values = {path: value for path, value, _ in found}
    assert values["match.steps"] == str(SMOKE.match.steps)
    assert values["pool.network.name"] == "convnet"
    assert values["container.dtype"] == "F32"


def test_values_are_written_as_they_are_typed():
    assert written(None) == "null"
    assert written(True) == "true"
    assert written(1e-6) == "1e-06"
    assert written(("flip", "crop")) == "flip, crop"
    assert written(()) == "()"


def test_words_between_backquotes_are_code(parsed):
    body = parsed(settings("Protocol", EvaluateConfig()))
    row = next(row for row in body.one("tbody").all("tr") if "network.name" in row.text)
    assert "convnet" in [node.text for node in row.one("small").all("code")]
    assert "`" not in body.text
