"""Kinds and providers in Python, with a topic tree that is grown on the way."""

from pathlib import Path

from datafast import ConversationDataset, Tree
from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import ConversationDatasetConfig


def generate(url, output_file):
    provider = OpenAICompatibleProvider("m-1", api_base=url)
    tree = Tree(topic_prompt="The sky", degree=2, depth=1, provider=provider)
    config = ConversationDatasetConfig(topics=tree, num_rows=4, output_file=Path(output_file))
    return ConversationDataset(config).generate([provider]).report
