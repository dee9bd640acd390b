"""Instructions with responses: `kind` has the dataset, `config` what it is made of."""
