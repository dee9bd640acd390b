"""Preference pairs whose questions come from different people: each document with each persona of a list.

    python examples/personas.py --offline     # simulated models: no key, no cost
    python examples/personas.py               # real models: their keys in secrets.env

Run it twice: the second run makes no call. Then add a persona, and run it again: it buys the questions of that one alone.
"""

import argparse

from dotenv import load_dotenv

from datafast.datasets import PreferenceDataset
from datafast.llms import AnthropicProvider, OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import PreferenceDatasetConfig

DOCUMENTS = [
    "The pass is closed from November to May. In June the road is open, but the tunnel stays shut until its lamps are replaced.",
    "Bread is baked at four, and sold from six. What is left at five in the afternoon goes to the shelter next door.",
]
PERSONAS = [
    "a lorry driver in a hurry who writes without punctuation",
    "a cyclist who has read everything twice and wants to know why",
    "a grandmother who asks on behalf of somebody else",
]


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate preference pairs from several points of view.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = PreferenceDatasetConfig(
        input_documents=DOCUMENTS,
        personas=PERSONAS,  # or PersonasConfig(describe="people who use a mountain road", count=100)
        num_samples_per_prompt=2,
        output_file="pairs_of_people.jsonl",
    )
    dataset = PreferenceDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows()}")  # 2 documents x 3 personas x 2 questions

    dataset.generate(
        question_gen_llm=OpenAIProvider(model_id="gpt-6-luna"),
        chosen_response_gen_llm=AnthropicProvider(model_id="claude-haiku-4-5-20251001"),
        rejected_response_gen_llm=OpenAIProvider(model_id="gpt-6-luna", temperature=1.0, reasoning_effort="none"),
        offline=offline,
    )
    print(dataset.report.counts_line())
    for row in dataset.data_rows[:2]:
        print(f"\n{row.metadata['persona']}: {row.question}")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
