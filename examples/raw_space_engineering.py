"""Texts about space engineering: 3 types of document x 8 topics x 2 languages x 3 levels of expertise x 2 models.

    python examples/raw_space_engineering.py --offline     # simulated models: no key, no cost
    python examples/raw_space_engineering.py               # real models: keys in secrets.env

Run it twice: the second run makes no call.
"""

import argparse

from dotenv import load_dotenv

from datafast.datasets import RawDataset
from datafast.llms import AnthropicProvider, OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import PromptExpansionConfig, RawDatasetConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate texts about space engineering.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = RawDatasetConfig(
        document_types=[
            "space engineering textbook",
            "spacecraft design justification document",
            "personal blog of a space engineer",
        ],
        topics=[
            "Microgravity",
            "Vacuum",
            "Heavy Ions",
            "Thermal Extremes",
            "Atomic Oxygen",
            "Debris Impact",
            "Electrostatic Charging",
            "Propellant Boil-off",
        ],
        languages={"en": "English", "fr": "French"},
        num_samples_per_prompt=1,
        output_file="space_engineering_texts.jsonl",
        prompts=[
            "Generate {num_samples} section of a {document_type} in {language_name} about the topic of {topic} "
            "in space engineering. Target the content at <<expertise_level>>."
        ],
        expansion=PromptExpansionConfig(
            placeholders={"expertise_level": ["executives", "senior engineers", "PhD candidates"]},
        ),
    )
    providers = [
        OpenAIProvider(model_id="gpt-6-luna"),
        AnthropicProvider(model_id="claude-haiku-4-5-20251001"),
    ]

    dataset = RawDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")

    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    print(dataset.data_rows[0].text)


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
