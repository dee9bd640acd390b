"""Small parts without a domain: they know nothing of datasets, providers or files of ours."""
