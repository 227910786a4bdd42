"""JSON Schemas of the file models; `python -m hmnpack.schema.export manifest` prints one."""

import json
import sys
from typing import Any

from pydantic import BaseModel

from hmnpack.schema.audit import AuditResult
from hmnpack.schema.manifest import StoredManifest
from hmnpack.schema.result import Result

DIALECT = "https://json-schema.org/draft/2020-12/schema"

MODELS: dict[str, type[BaseModel]] = {
    "manifest": StoredManifest,
    "result": Result,
    "audit": AuditResult,
}
"""Name of a schema file, `<name>-1.json` -> model."""


def text_of(name: str) -> str:
    """Return the text of a model's JSON Schema file."""
    schema = MODELS[name].model_json_schema()
    if MODELS[name] is StoredManifest:
        for part in (schema, *schema["$defs"].values()):
            _as_in_a_file(part)
        _in_any_container(schema["properties"])
    schema |= {"$schema": DIALECT, "$id": f"urn:hmnpack:{name}:1"}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _as_in_a_file(part: dict[str, Any]) -> None:
    """Mark every key as required, except those that may be None here: a file omits them."""
    fields = part.get("properties", {})
    optional = [name for name, field in fields.items() if field.get("default", 0) is None]
    for name in optional:
        del fields[name]["default"]
        kinds = fields[name].pop("anyOf", [{"not": {}}])
        fields[name].pop("type", None)  # of a field whose only value is None
        fields[name] |= next(kind for kind in kinds if kind != {"type": "null"})
    if fields:
        part["required"] = [name for name in fields if name not in optional]


def _in_any_container(fields: dict[str, Any]) -> None:
    """Allow a container to match several specifications, as one of an unknown kind may."""
    container = fields["container"]
    container["anyOf"] = container.pop("oneOf")


if __name__ == "__main__":
    sys.stdout.write(text_of(sys.argv[1]))
