"""Columns of a dataset: samplers, models and computed values that refer to one another."""

from datafast.columns.base import Cell, CellError, Column, Setup
from datafast.columns.registry import column_types, load_column, register

__all__ = ["Cell", "CellError", "Column", "Setup", "column_types", "load_column", "register"]
