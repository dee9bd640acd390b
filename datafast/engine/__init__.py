"""The engine: plan, calls, limits, ledger, run loop."""
