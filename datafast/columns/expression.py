"""The public import path of the computed columns; see `datafast.columns.types.computed`."""

from datafast.columns.types.computed import ExpressionColumn, FunctionColumn

__all__ = ["ExpressionColumn", "FunctionColumn"]
