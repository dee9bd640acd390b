"""Texts about the sea, written by a model on your machine: 4 topics x 2 types of document x 2 samples. No key, no server.

pip install 'datafast[local]'
python examples/local_llama.py path/to/model.gguf                          # a file on your machine
python examples/local_llama.py Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M      # downloaded once from the Hub
python examples/local_llama.py --offline                                   # simulated model
"""

import argparse

from datafast.datasets import RawDataset
from datafast.llms import LlamaCppProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import RawDatasetConfig


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate texts about the sea with a local model.")
    parser.add_argument(
        "model", nargs="?", default="Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M", help="a .gguf file or a repository"
    )
    parser.add_argument("--offline", action="store_true", help="use a simulated model")
    options = parser.parse_args()

    config = RawDatasetConfig(
        document_types=["encyclopedia entry", "letter of a lighthouse keeper"],
        topics=["spring tides", "rip currents", "sea fog", "storm surges"],
        num_samples_per_prompt=2,
        output_file="sea_texts.jsonl",
    )
    # One loaded model answers eight requests in parallel, each with 4,096 tokens for prompt and reply.
    provider = LlamaCppProvider(options.model, slots=8, context_tokens=4096, temperature=0.9)

    dataset = RawDataset(config)
    dataset.generate([provider], offline=options.offline)
    print(dataset.report.counts_line())
    print(dataset.data_rows[0].text)


if __name__ == "__main__":
    configure_logger()
    main()
