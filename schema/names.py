"""Names accepted by settings and by the command line. Without pydantic, so `--help` is fast."""

from typing import Literal

PruneStrategy = Literal["none", "double-end", "easy", "hard", "random"]
"""Rule that selects the images to drop."""

BaselineRow = Literal["floats", "bytes", "count", "whole"]
"""Baselines: networks trained on real images, for comparison with the file's images."""

Protocol = Literal["short", "paper"]
"""Named evaluation settings, the default first; each is a function in ``protocols``."""
