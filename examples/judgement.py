"""Answers that there are already, scored by two judges by a rubric, and how far the judges agree.

    python examples/judgement.py --offline     # simulated models: no key, no cost
    python examples/judgement.py               # real models: keys in secrets.env

Run it twice: the second run makes no call. The agreement needs the extra `agreement`.
"""

import argparse

from dotenv import load_dotenv

from datafast.datasets import JudgementDataset
from datafast.errors import MissingExtraError
from datafast.llms import AnthropicProvider, OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import JudgementDatasetConfig

ANSWERS = {
    "Why does the station need control moment gyroscopes?": "They turn it without using propellant.",
    "At what temperature does liquid hydrogen boil?": "At 20 K, so heat that leaks into the tank turns it into vapour.",
    "What limits the life of solar panels?": "The sun.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Judge answers.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = JudgementDatasetConfig(
        # Or a file, or a dataset on the Hub: source="answers.jsonl"
        source=[{"question": question, "answer": answer} for question, answer in ANSWERS.items()],
        rubric={1: "wrong, or no answer", 3: "right, but something important is missing", 5: "right and complete"},
        judges=["strict", "mild"],
        system_prompt={"strict": "You are a strict examiner.", "mild": "You are a friendly teacher."},
        output_file="judged_answers.jsonl",
    )
    judges = {
        "strict": OpenAIProvider(model_id="gpt-6.1-terra"),
        "mild": AnthropicProvider(model_id="claude-haiku-4-5-20251001", temperature=0),
    }

    dataset = JudgementDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows()}")

    dataset.generate(judges, offline=offline)
    print(dataset.report.counts_line())
    for row in dataset.data_rows:
        print(row.score, row.spread, row.question, sep="\t")
    try:
        print(f"Krippendorff's alpha: {dataset.agreement().alpha}")
    except MissingExtraError as error:
        print(error)


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
