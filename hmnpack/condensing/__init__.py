"""A run from a data set to a bundle."""
