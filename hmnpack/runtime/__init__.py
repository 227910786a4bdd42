"""Services that every run needs; imports nothing, because `output` must not import torch."""
