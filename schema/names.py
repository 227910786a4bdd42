"""Names that settings take and the command line offers; without pydantic, as help is quick."""

from typing import Literal

PruneStrategy = Literal["none", "double-end", "easy", "hard", "random"]
"""How the images that pruning drops are chosen."""

BaselineRow = Literal["floats", "bytes", "count", "whole"]
"""Rows of real images beside a file's row."""

Protocol = Literal["short", "paper"]
"""Named settings of an evaluation, the default first; each is a function of ``protocols``."""
