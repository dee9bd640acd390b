"""Chats of several turns between users with personas and an assistant, to train a model on.

    python examples/ultrachat.py --offline     # simulated models: no key, no cost
    python examples/ultrachat.py               # real models: keys in secrets.env

Run it twice: the second run makes no call.
"""

import argparse

from dotenv import load_dotenv

from datafast.datasets import UltrachatDataset
from datafast.llms import OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import UltrachatDatasetConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold chats about a domain.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = UltrachatDatasetConfig(
        domain="Running a small harbour",
        topics_and_subtopics={
            "Berths": ["Assigning berths", "Shifting moored boats"],
            "Water": ["Reading tide tables", "Dredging the entrance"],
        },
        personas=[
            "A harbour master with thirty years on the water, short of words",
            "A student who sails in summer and asks a lot",
            "A town councillor who has to explain the costs to voters",
        ],
        num_samples=3,
        max_turns=3,
        conversation_continuation_prob=0.6,
        output_file="harbour_chats.jsonl",
    )
    providers = [OpenAIProvider(model_id="gpt-6-luna")]

    dataset = UltrachatDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")

    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    row = dataset.data_rows[0]
    print(row.persona)
    for message in row.messages:
        print(f"{message['role']}: {message['content']}")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
