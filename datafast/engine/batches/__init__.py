"""Batch jobs of providers, seen from a run: gathering calls, sending them, collecting what became of them."""
