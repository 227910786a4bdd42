"""What is stored: the models of manifests, ledgers, settings and results (no torch, no I/O)."""
