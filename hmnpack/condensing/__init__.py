"""The compression run: from a dataset to a bundle."""
