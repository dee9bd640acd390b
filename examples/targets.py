"""As many accepted texts about each topic as it says, however many of them a stage drops.

    python examples/targets.py --offline     # simulated models: no key, no cost
    python examples/targets.py               # real models: keys in secrets.env

Run it twice: the second run makes no call. Then raise the target, and run it again: it makes only the rest.
"""

import argparse

from dotenv import load_dotenv

from datafast.datasets import RawDataset
from datafast.llms import OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import RawDatasetConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate texts until enough of them are accepted.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = RawDatasetConfig(
        document_types=["explanation for children", "answer in an interview"],
        topics=["spring tides", "sea ice", "fog"],
        num_samples_per_prompt=2,
        quality=[{"stage": "length", "min_words": 15}],
        target_rows={"by": "topic", "each": 6},
        output_file="accepted_texts.jsonl",
    )
    dataset = RawDataset(config)
    dataset.generate([OpenAIProvider(model_id="gpt-6-luna")], offline=offline)
    print(dataset.report.counts_line())
    for target in dataset.report.targets:
        print(target.in_words())


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
