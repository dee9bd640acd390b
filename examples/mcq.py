"""Multiple-choice questions about two texts: each with its right answer and three wrong ones.

    python examples/mcq.py --offline     # simulated models: no key, no cost
    python examples/mcq.py               # real models: keys in secrets.env

Run it twice: the second run makes no call.
"""

import argparse

from dotenv import load_dotenv

from datafast.datasets import MCQDataset
from datafast.llms import AnthropicProvider, OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import MCQDatasetConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate multiple-choice questions.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = MCQDatasetConfig(
        # Or a file, or a dataset on the Hub: source="lessons.jsonl", text_column="text"
        source=[
            "After the second stage shut down early, the upper stage burned 41 seconds longer to reach the planned orbit. "
            "The propellant left was enough to lower the perigee, and the stage re-entered nine days later.",
            "Solar panels of the probe lost 3 % of their power in a year. Half of the loss came from radiation, the other "
            "half from dust on the covers, which a short spin threw off.",
        ],
        languages={"en": "English", "fr": "French"},
        num_samples_per_prompt=3,
        output_file="exam_questions.jsonl",
    )
    providers = [
        OpenAIProvider(model_id="gpt-6-luna"),
        AnthropicProvider(model_id="claude-haiku-4-5-20251001"),
    ]

    dataset = MCQDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")

    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    row = dataset.data_rows[0]
    print(row.question, *row.options, f"Right: {row.answer_letter}", sep="\n")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
