"""Small general helpers: they know nothing of datasets, providers or the output."""
