"""Topic models: what rows are about. See `datafast.topics.shapes`."""

from typing import TYPE_CHECKING

from datafast._util.lazy import lazy_names

if TYPE_CHECKING:
    from datafast.topics.config import TopicsConfig
    from datafast.topics.model import TopicModel
    from datafast.topics.nodes import TopicNode
    from datafast.topics.shapes import Graph, Tree, load_topics
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "datafast.topics.config": ["TopicsConfig"],
            "datafast.topics.model": ["TopicModel"],
            "datafast.topics.nodes": ["TopicNode"],
            "datafast.topics.shapes": ["Graph", "Tree", "load_topics"],
        },
    )

__all__ = ["Graph", "TopicModel", "TopicNode", "TopicsConfig", "Tree", "load_topics"]
