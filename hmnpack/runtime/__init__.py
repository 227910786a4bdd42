"""What every run stands on; imports nothing, as `output` needs no torch."""
