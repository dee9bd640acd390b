"""Several candidates for each text: a check sorts out those that are too short, a judge takes the best of the others.

    python examples/best_of_n.py --offline     # simulated models: no key, no cost
    python examples/best_of_n.py               # real models: keys in secrets.env

Run it twice: the second run makes no call. Then change the rubric, and run it again: it buys only judging.
"""

import argparse

from dotenv import load_dotenv

from datafast.datasets import RawDataset
from datafast.llms import OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import RawDatasetConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate texts, each the best of several.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = RawDatasetConfig(
        document_types=["explanation for children", "answer in an interview"],
        topics=["spring tides", "sea ice", "fog"],
        num_samples_per_prompt=1,
        best_of_n={
            "n": 4,
            "check": "text | wordcount > 15",
            "judge": {
                "providers": ["anthropic/claude-haiku-4-5-20251001"],
                "rubric": {1: "wrong, or of no use", 3: "right, but dull", 5: "right, clear and a pleasure to read"},
            },
        },
        output_file="best_explanations.jsonl",
    )
    providers = [OpenAIProvider(model_id="gpt-6-luna")]

    dataset = RawDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")
    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    for row in dataset.data_rows[:3]:
        print(row.metadata["best_of_n"], row.text[:80], sep="\n")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
