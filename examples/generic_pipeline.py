"""A table of reviews through a prompt into new columns: a summary, a mood, stars and topics, in two languages.

    python examples/generic_pipeline.py --offline     # simulated models: no key, no cost
    python examples/generic_pipeline.py               # a real model: the key in secrets.env

Run it twice: the second run makes no call.
"""

import argparse

from dotenv import load_dotenv

from datafast.datasets import GenericPipelineDataset
from datafast.llms import OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import GenericPipelineDatasetConfig

REVIEWS = [
    {"id": "r1", "restaurant": "The Anchor", "review": "Forty minutes for soup, and it was cold."},
    {"id": "r2", "restaurant": "The Anchor", "review": "Best mussels of the coast, and a waiter who remembers you."},
    {"id": "r3", "restaurant": "Mole 7", "review": ""},
    {"id": "r4", "restaurant": "Mole 7", "review": "Fair prices. The music is too loud to talk."},
]
PROMPT = """A review of a restaurant:

{review}

Summarise it in one sentence in {language}. Say what mood it is in, how many stars from 1 to 5 fit it, and what it is about."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Label reviews.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = GenericPipelineDatasetConfig(
        # Or a file, or a dataset on the Hub: source="reviews.csv"
        source=REVIEWS,
        input_columns=["review"],
        forward_columns=["restaurant"],
        output_columns={
            "summary": "text",
            "mood": ["positive", "mixed", "negative"],
            "stars": [1, 2, 3, 4, 5],
            "topics": "texts",
        },
        key_column="id",
        skip_function=lambda row: not row["review"],
        prompts=[PROMPT],
        languages={"en": "English", "fr": "French"},
        output_file="labelled_reviews.jsonl",
    )
    providers = [OpenAIProvider(model_id="gpt-6-luna")]

    dataset = GenericPipelineDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")

    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    for row in dataset.data_rows:
        print(row.metadata["source_key"], row.language, row.mood, row.stars, row.summary, sep="\t")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
