"""Conversations of an assistant that calls tools, which are the Python functions below: a boatyard, its stock and its prices.

    python examples/tools.py --offline     # simulated models: no key, no cost
    python examples/tools.py               # real models: keys in secrets.env

The functions are really called, and what they give back is recorded: the second run calls neither them nor a model.
"""

import argparse
from typing import Literal

from dotenv import load_dotenv

from datafast import ConversationDataset, ConversationDatasetConfig, OpenAIProvider, ToolError, configure_logger

Part = Literal["anchor", "mast", "propeller", "rudder", "sail"]
STOCK = {"anchor": 12, "mast": 0, "propeller": 3, "sail": 7}
PRICES = {"anchor": 140.0, "mast": 2_900.0, "propeller": 310.0, "rudder": 455.0, "sail": 1_250.0}


def stock(part: Part) -> dict[str, int]:
    """How many of a part there are in the yard.

    Args:
        part: Which part.
    """
    if part not in STOCK:
        raise ToolError(f"The shelf of {part} is being counted. Ask again tomorrow.")
    return {"in_stock": STOCK[part]}


def price(part: Part, quantity: int = 1) -> dict[str, float]:
    """What a part costs, in EUR; from ten on there is a discount.

    Args:
        part: Which part.
        quantity: How many of it, 1 to 100.
    """
    if not 1 <= quantity <= 100:
        raise ToolError("The quantity must be from 1 to 100.")
    return {"eur": round(PRICES[part] * quantity * (0.9 if quantity >= 10 else 1), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate conversations of an assistant with tools.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    config = ConversationDatasetConfig(
        topics=["Fitting out for the season", "After a grounding", "A race next week", "An old wooden boat"],
        num_rows=12,
        conversation_type="tools",
        tools=[stock, price],
        tool_results="function",
        share_without_calls=0.2,
        max_parallel_calls=3,
        max_turns=2,
        instructions="Users are in a hurry and write short messages.",
        dataset_system_prompt="You are the assistant of a boatyard. Look up what you can, and be brief.",
        output_file="boatyard_conversations.jsonl",
    )
    providers = [OpenAIProvider(model_id="gpt-6-luna")]

    dataset = ConversationDataset(config)
    print(f"Expected rows: {dataset.get_num_expected_rows(providers)}")

    dataset.generate(providers, offline=offline)
    print(dataset.report.counts_line())
    for message in dataset.data_rows[0].messages:
        for call in message.get("tool_calls", []):
            print("call", call["function"]["name"], call["function"]["arguments"])
        if message["content"]:
            print(message["role"], message["content"], sep=": ")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
