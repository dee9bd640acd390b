"""What a dataset card says: `config` is what users set, `info` puts everything together, from config, ledger, manifest and statistics."""
