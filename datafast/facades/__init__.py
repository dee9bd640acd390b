"""Short ways to the same machinery, for those who come from other packages."""
