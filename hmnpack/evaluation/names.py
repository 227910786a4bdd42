"""Names of the rows of an accuracy table: they also name random streams, and stand in results."""

BUNDLE_ROW = "bundle"
FLOATS_ROW = "random real, same floats"
BYTES_ROW = "JPEG real, same bytes"
COUNT_ROW = "random real, same number"
WHOLE_ROW = "whole data"
