"""The public import path of what dataset kinds are derived from."""

from datafast.datasets.dataset import Dataset
from datafast.datasets.entry import FanOutDataset, RoleDataset
from datafast.engine.options import RunOptions

__all__ = ["Dataset", "FanOutDataset", "RoleDataset", "RunOptions"]
