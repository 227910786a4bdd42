"""Data models of everything stored: manifests, ledgers, settings, results. No torch, no I/O."""
