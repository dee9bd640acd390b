"""Batch jobs of providers: many requests in one upload, answered within a day, at a lower price."""
