"""The engine: jobs, calls, limits, the run loop."""
