"""Reviews of made-up restaurants: drawn values, two models, a condition, a judge and a function in one schema.

    python examples/columns.py --offline     # simulated models: no key, no cost
    python examples/columns.py               # real models: keys in secrets.env

Run it twice: the second run makes no call. If you add a column, only that column is paid for.
"""

import argparse

from dotenv import load_dotenv

from datafast import configure_logger, dataset, generator, sample

DISHES = [
    {"dish": "lentil soup", "price": 7},
    {"dish": "trout with almonds", "price": 24},
    {"dish": "plum dumplings", "price": 9},
]


def num_words(review: str) -> int:
    return len(review.split())


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate restaurant reviews.")
    parser.add_argument("--offline", action="store_true", help="use simulated models")
    offline = parser.parse_args().offline

    writer = generator("openai", model="gpt-6-luna")
    judge = generator("openai", model="gpt-6.1-terra")
    reviews = dataset(
        {
            "uuid": sample.uuid(),
            "dish": sample.from_dataset(DISHES, "dish"),
            "price": sample.from_dataset(DISHES, "price"),  # from the same row as the dish
            "mood": sample.choice({"content": 3, "disappointed": 1}, mode="balanced"),
            "party": sample.poisson(3, min=1),
            "guest": sample.person(fields=["name", "age", "job"]),
            "review": writer(
                "Write a review by {guest.name}, {guest.age}, {guest.job}, one of {party} guests, who is {mood} with the {dish} for "
                "{price} euros."
                "{% if mood == 'disappointed' %} It ends with a suggestion.{% endif %} Three sentences."
            ),
            "reply": writer("Write the cook's short reply to this review:\n\n{review}", when="mood == 'disappointed'"),
            "verdict": judge.judge(
                "{review}", {1: "could be about anything", 5: "vivid and specific"}, on_error="null"
            ),
            "words": num_words,
        },
        seed=7,
        output_file="restaurant_reviews.jsonl",
    )

    frame = reviews.generate_sync(40, offline=offline)
    print(reviews.report.counts_line())
    print(frame[["dish", "price", "mood", "words"]].head())
    reviews.save("restaurant_reviews.parquet")


if __name__ == "__main__":
    load_dotenv("secrets.env")
    configure_logger()
    main()
