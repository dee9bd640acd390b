"""Labelled texts about trails: 3 classes x 2 languages x 3 kinds of writer x 5 texts a call, from 2 models.

    python examples/classification.py --offline     # simulated models: no key, no cost
    python examples/classification.py               # real models: keys in secrets.env

Run it twice: the second run makes no call.
"""

import argparse
from collections import Counter

from dotenv import load_dotenv

from datafast.datasets import ClassificationDataset
from datafast.llms import GeminiProvider, OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import ClassificationDatasetConfig, PromptExpansionConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate labelled texts about trails.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = ClassificationDatasetConfig(
        classes=[
            {
                "name": "trail_obstruction",
                "description": "The path is blocked: fallen trees, flooding, missing bridges.",
            },
            {
                "name": "infrastructure",
                "description": "Signs, shelters, railings and toilets: broken, missing or good.",
            },
            {"name": "positive_conditions", "description": "The path is in good shape and pleasant to walk."},
        ],
        languages={"en": "English", "fr": "French"},
        num_samples_per_prompt=5,
        output_file="trail_reports.jsonl",
        prompts=[
            "Write {num_samples} short reports in {language_name} that <<writer>> leaves in a trail app. "
            "Every report belongs to the class {label_name}: {label_description} Do not name the class."
        ],
        expansion=PromptExpansionConfig(
            placeholders={"writer": ["a hurried runner", "a family on a day out", "a volunteer ranger"]},
        ),
    )
    providers = [
        OpenAIProvider(model_id="gpt-6-luna"),
        GeminiProvider(model_id="gemini-3.5-flash-lite"),
    ]

    dataset = ClassificationDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")

    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    print(dict(Counter(row.label for row in dataset.data_rows)))


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
