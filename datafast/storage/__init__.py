"""Outputs in object stores, on the Hub and on network file systems: a local spool, uploads beside the run, resuming from what is there."""
