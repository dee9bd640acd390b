"""The first datafast's import path of the models of a pipeline's replies and rows; see `datafast.datasets.generic_pipeline`."""

from datafast.datasets.generic_pipeline import create_generic_pipeline_row_model, create_response_model

__all__ = ["create_generic_pipeline_row_model", "create_response_model"]
