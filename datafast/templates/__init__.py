"""Templates over the columns of a row."""
