"""The public import path of `dataset`, `generator` and `sample`; see `datafast.facades.frame`."""

from datafast.facades.frame import dataset, generator, sample

__all__ = ["dataset", "generator", "sample"]
