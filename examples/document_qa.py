"""Questions about a document, with answers that quote their evidence.

    python examples/document_qa.py --offline     # simulated models: no key, no cost
    python examples/document_qa.py               # real models: keys in secrets.env

Run it twice: the second run makes no call.
"""

import argparse

from dotenv import load_dotenv

from datafast.datasets import DocumentQADataset
from datafast.llms import OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import DocumentQADatasetConfig

MANUAL = """
# Attitude control

The station keeps its attitude with four control moment gyroscopes. When their stored momentum nears its limit,
thrusters take over for a few minutes, which costs propellant and disturbs experiments in microgravity.

# Propellant

Liquid hydrogen boils at 20 K. On long missions heat leaks into the tank, and the vapour has to be vented or cooled
again. Multilayer insulation slows this down; a cryocooler can stop it, at the price of mass and power.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask about documents.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = DocumentQADatasetConfig(
        # Or files: source="manuals/*.pdf" (HTML, PDF and Word need the extra `documents`)
        source=[MANUAL],
        chunk_size=80,
        chunk_overlap=20,
        num_samples_per_prompt=4,
        output_file="manual_questions.jsonl",
    )
    providers = [OpenAIProvider(model_id="gpt-6-luna")]

    dataset = DocumentQADataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")

    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    row = dataset.data_rows[0]
    print(row.heading, row.question, row.answer, *row.evidence, sep="\n")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
