"""Instructions with responses, written after tasks that you have, and evolved.

    python examples/instruction.py --offline     # simulated models: no key, no cost
    python examples/instruction.py               # real models: keys in secrets.env

Run it twice: the second run makes no call.
"""

import argparse
from collections import Counter

from dotenv import load_dotenv

from datafast.datasets import InstructionDataset
from datafast.llms import AnthropicProvider, OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import InstructionDatasetConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate instructions with responses.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = InstructionDatasetConfig(
        # Or a file with the columns instruction and input: seed_tasks="tasks.jsonl"
        seed_tasks=[
            "Explain to a new deckhand why the tide turns twice a day.",
            "Plan a day trip to an island with one ferry in the morning and one in the evening.",
            {"instruction": "Sort these by size.", "input": "dinghy, container ship, trawler, kayak"},
        ],
        num_samples_per_prompt=4,
        with_input="sometimes",
        evolution={"rounds": 2, "breadth": 0.25},
        output_file="harbour_instructions.jsonl",
    )
    writer = OpenAIProvider(model_id="gpt-6-luna")
    providers = {
        "instruction": writer,
        "evolution": writer,
        "response": AnthropicProvider(model_id="claude-haiku-4-5-20251001"),
    }

    dataset = InstructionDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")

    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    print(
        "Dropped:", dict(Counter(step.dropped for row in dataset.data_rows for step in row.evolutions if step.dropped))
    )
    row = dataset.data_rows[0]
    print(row.original_instruction, row.instruction, row.input, row.response, sep="\n\n")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
