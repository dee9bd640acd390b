"""Preference pairs about two documents: a question, a good answer, a poor one, and a judge who scores both.

    python examples/preference.py --offline     # simulated models: no key, no cost
    python examples/preference.py               # real models: keys in secrets.env, and a local Ollama for the poor answers

Run it twice: the second run makes no call.
"""

import argparse

from dotenv import load_dotenv

from datafast.datasets import PreferenceDataset
from datafast.llms import AnthropicProvider, OllamaProvider, OpenAIProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import PreferenceDatasetConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate preference pairs.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = PreferenceDatasetConfig(
        input_documents=[
            "After the second stage shut down early, the upper stage burned 41 seconds longer to reach the planned orbit. "
            "The propellant left was enough to lower the perigee, and the stage re-entered nine days later.",
            "Solar panels of the probe lost 3 % of their power in a year. Half of the loss came from radiation, the other "
            "half from dust on the covers, which a short spin threw off.",
        ],
        languages={"en": "English", "fr": "French"},
        num_samples_per_prompt=3,
        evol_instruct=True,
        llm_as_judge=True,
        output_file="preference_pairs.jsonl",
    )

    dataset = PreferenceDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows()}")

    dataset.generate(
        question_gen_llm=OpenAIProvider(model_id="gpt-6-luna"),
        chosen_response_gen_llm=AnthropicProvider(model_id="claude-haiku-4-5-20251001"),
        rejected_response_gen_llm=OllamaProvider(model_id="gemma3:4b"),
        evolution_llm=OpenAIProvider(model_id="gpt-6.1-terra"),
        judge_llm=OpenAIProvider(model_id="gpt-6.1-terra"),
        offline=offline,
    )
    print(dataset.report.counts_line())
    row = dataset.data_rows[0]
    print(row.question, row.chosen_response_score, row.rejected_response_score, sep="\n")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
