"""Conversations of an agent that calls tools, about topics that a model grows: a greenhouse and its sensors.

    python examples/conversation.py --offline     # simulated models: no key, no cost
    python examples/conversation.py               # real models: keys in secrets.env

Run it twice: the second run makes no call. The topics are in greenhouse_topics.json; other datasets can use them, too.
"""

import argparse

from dotenv import load_dotenv

from datafast import ConversationDataset, ConversationDatasetConfig, Graph, OpenAIProvider, configure_logger

TOOLS = [
    {
        "name": "read_sensor",
        "description": "The latest value of a sensor.",
        "parameters": {
            "type": "object",
            "properties": {
                "bed": {"type": "integer", "minimum": 1, "maximum": 12},
                "quantity": {"type": "string", "enum": ["temperature", "humidity", "soil_moisture", "light"]},
            },
            "required": ["bed", "quantity"],
        },
    },
    {
        "name": "set_vent",
        "description": "Opens or closes the roof vents.",
        "parameters": {
            "type": "object",
            "properties": {"percent_open": {"type": "integer", "minimum": 0, "maximum": 100}},
            "required": ["percent_open"],
        },
    },
]


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate conversations of an agent with tools.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    topics = Graph(
        "Running a small greenhouse",
        provider="openai",
        model_name="gpt-6-luna",
        degree=4,
        depth=2,
        path="greenhouse_topics.json",
    ).build(offline=offline)
    print(topics.to_text())

    config = ConversationDatasetConfig(
        topics=topics,
        topic_selection="balanced",
        num_rows=24,
        examples_per_call=2,
        conversation_type="chain_of_thought",
        reasoning_style="agent",
        tools=TOOLS,
        instructions="The user looks after the greenhouse and wants something done or explained, not a lecture.",
        generation_system_prompt="You write realistic records of an assistant at work.",
        dataset_system_prompt="You are the assistant of a greenhouse. Look at the sensors before you change anything.",
        output_file="greenhouse_conversations.jsonl",
    )
    providers = [OpenAIProvider(model_id="gpt-6-luna")]

    dataset = ConversationDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")

    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    row = dataset.data_rows[0]
    print(row.metadata["topic_path"])
    for message in row.messages:
        print(message["role"], message["content"], sep=": ")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
