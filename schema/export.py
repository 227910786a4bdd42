"""JSON Schema of what is written to files; `python -m hmnpack.schema.export manifest` prints it."""

import json
import sys
from typing import Any

from pydantic import BaseModel

from hmnpack.schema.manifest import StoredManifest
from hmnpack.schema.result import Result

DIALECT = "https://json-schema.org/draft/2020-12/schema"

MODELS: dict[str, type[BaseModel]] = {"manifest": StoredManifest, "result": Result}
"""By the name of the file, `<name>-1.json`."""


def text_of(name: str) -> str:
    """Return the JSON Schema of a model, as the text of its file."""
    schema = MODELS[name].model_json_schema()
    if MODELS[name] is StoredManifest:
        for part in (schema, *schema["$defs"].values()):
            _as_in_a_file(part)
        _in_any_container(schema["properties"])
    schema |= {"$schema": DIALECT, "$id": f"urn:hmnpack:{name}:1"}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _as_in_a_file(part: dict[str, Any]) -> None:
    """Require every key of an object but those that may be null here: a file leaves these out."""
    fields = part.get("properties", {})
    optional = [name for name, field in fields.items() if field.get("default", 0) is None]
    for name in optional:
        del fields[name]["default"]
        kinds = fields[name].pop("anyOf", [{"not": {}}])
        fields[name].pop("type", None)  # of what may be nothing but null
        fields[name] |= next(kind for kind in kinds if kind != {"type": "null"})
    if fields:
        part["required"] = [name for name in fields if name not in optional]


def _in_any_container(fields: dict[str, Any]) -> None:
    """Let a container of a kind that is not known here be any of them, with keys of its own."""
    container = fields["container"]
    container["anyOf"] = container.pop("oneOf")


if __name__ == "__main__":
    sys.stdout.write(text_of(sys.argv[1]))
