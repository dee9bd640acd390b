"""Texts about the subjects of a table: the topics come from a data frame, the types of document from a file of lines.

    python examples/sources.py --offline     # simulated models: no key, no cost
    python examples/sources.py               # a real model: its key in secrets.env

Run it twice: the second run makes no call. Then change one subject, and run it again: it buys the texts about that one alone.
"""

import argparse
from pathlib import Path

import pandas as pd
from dotenv import load_dotenv

from datafast.datasets import RawDataset
from datafast.llms import OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import RawDatasetConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate texts about the subjects of a table.")
    parser.add_argument("--offline", action="store_true", help="use a simulated model")
    offline = parser.parse_args().offline

    subjects = pd.DataFrame(
        {
            "id": ["s1", "s2", "s3", "s4"],
            "subject": ["spring tides", "ice in harbours", "lighthouse lamps", "the price of herring"],
            "reviewed": [True, True, True, False],
        }
    )
    Path("document_types.txt").write_text("museum label\nletter to the editor\n", encoding="utf-8")

    config = RawDatasetConfig(
        topics={"source": subjects, "column": "subject", "where": "reviewed", "key": "id"},
        document_types="document_types.txt",
        num_samples_per_prompt=2,
        output_file="harbour_texts.jsonl",
    )
    dataset = RawDataset(config)
    providers = [OpenAIProvider(model_id="gpt-6-luna")]
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")  # 3 topics x 2 document types x 2 samples

    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    for row in dataset.data_rows[:2]:
        print(f"\n{row.metadata['topic_key']}, {row.metadata['document_type']}: {row.text}")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
