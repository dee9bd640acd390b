"""`dataset`, `generator` and `sample`, with a function and a pydantic form."""

from pydantic import BaseModel

from datafast import OpenAICompatibleProvider, dataset, generator, sample


class Form(BaseModel):
    title: str
    words: int = 3


def shout(row):
    return row["topic"].upper() + "!"


def generate(url, output_file):
    plain = generator("openai_compatible", model="m-1", api_base=url)
    warm = generator(OpenAICompatibleProvider("m-1", api_base=url, temperature=0.9))
    schema = {
        "id": sample.uuid(),
        "topic": sample.choice(["tides", "moons", "ice"]),
        "level": sample.weighted({"easy": 2, "hard": 1}),
        "question": plain("Ask about {topic}, {level}."),
        "answer": warm("Answer {question} for {reader}", system="You teach.", reader="sailors"),
        "form": plain.structured("Describe {topic}", Form),
        "verdict": warm.judge("{question} {answer}", {1: "bad", 5: "good"}, when="level == 'hard'"),
        "loud": shout,
        "short": lambda topic: topic[:2],
        "source": "by hand",
    }
    made = dataset(schema, 6, output_file=output_file, seed=3)
    made.generate_sync()
    return made.report
