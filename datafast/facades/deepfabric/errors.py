"""DeepFabric's exceptions under their names. Each is one of ours, which says the same."""

from __future__ import annotations

from datafast.errors import (
    ConfigError,
    DatafastError,
    DataSetGeneratorError,
    ProviderError,
    PublishError,
    TopicsError,
)

__all__ = [
    "APIError",
    "ConfigurationError",
    "CyclicGraphError",
    "DataSetGeneratorError",
    "DatasetError",
    "DeepFabricError",
    "GraphError",
    "HubUploadError",
    "ModelError",
    "RetryExhaustedError",
    "TreeError",
    "ValidationError",
]

DeepFabricError = DatafastError
ConfigurationError = ValidationError = CyclicGraphError = ConfigError
TreeError = GraphError = TopicsError
ModelError = APIError = RetryExhaustedError = ProviderError
DatasetError = DataSetGeneratorError
HubUploadError = PublishError
