"""Configs in DeepFabric's layouts. They run as conversations.

    1.x to 3.x   data_engine, dataset, topic_tree or topic_graph, dataset_system_prompt     engine_layout
    3.x, 4.x     llm, topics, generation, output                                            sections_layout

Each layout is a config model whose `recipe` says the same in our terms. What has no effect here is remarked on; what cannot be done is
refused, with what to write instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datafast.config_files.deepfabric.recipe import Layout

__all__ = ["layout_of"]


def layout_of(data: Mapping[str, Any]) -> type[Layout] | None:
    """The layout of a config file's content; None if it is none of DeepFabric's."""
    if "kind" in data:
        return None
    if "data_engine" in data:
        from datafast.config_files.deepfabric.engine_layout import EngineLayout

        return EngineLayout
    if "generation" in data or "output" in data:
        from datafast.config_files.deepfabric.sections_layout import SectionsLayout

        return SectionsLayout
    return None
