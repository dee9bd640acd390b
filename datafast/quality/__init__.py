"""Stages that decide whether a row is written; see `datafast.quality.base`."""
