"""JSON Schema of what is written to files; `python -m hmnpack.schema.export manifest` prints it."""

import json
import sys

from pydantic import BaseModel

from hmnpack.schema.manifest import StoredManifest
from hmnpack.schema.result import Result

MODELS: dict[str, type[BaseModel]] = {"manifest": StoredManifest, "result": Result}
"""By the name of the file, `<name>-1.json`."""


def text_of(name: str) -> str:
    """Return the JSON Schema of a model, as the text of its file."""
    schema = MODELS[name].model_json_schema()
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text_of(sys.argv[1]))
