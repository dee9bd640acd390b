"""Topic models: what rows are about. See `datafast.topics.shapes`."""

from datafast.topics.config import TopicsConfig
from datafast.topics.model import TopicModel, TopicNode
from datafast.topics.shapes import Graph, Tree, load_topics

__all__ = ["Graph", "TopicModel", "TopicNode", "TopicsConfig", "Tree", "load_topics"]
