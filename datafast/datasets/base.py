"""The public import path of the base classes of dataset kinds."""

from datafast.datasets.dataset import Dataset
from datafast.datasets.entry import FanOutDataset, RoleDataset
from datafast.engine.options import RunOptions

__all__ = ["Dataset", "FanOutDataset", "RoleDataset", "RunOptions"]
