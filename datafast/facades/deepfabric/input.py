"""Checks the arguments of a `DataSetGenerator`. Errors use the names that its users know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datafast._util.config_model import in_our_words
from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError, DatafastError, DataSetGeneratorError
from datafast.llms.options import OPTION_SCHEMAS
from datafast.topics.model import TopicModel
from datafast.topics.shapes import Tree, load_topics

__all__ = ["ANY_TOPIC", "check_count", "check_names", "explained", "topics_of"]

ANY_TOPIC = "a subject of your choice that fits what is wanted"
_NAMES = {"request_timeout": "timeout", "model_name": "model_id", "base_url": "api_base"}


def topics_of(given: Any, topic_tree: Any = None) -> TopicModel:
    """The topic model for a model, a list, nested topics or a path; `topic_tree` is its name in the first versions."""
    if topic_tree is not None:
        if given is not None and given is not topic_tree:
            raise ConfigError("topic_tree: This is also given as topic_model. Keep one of them.")
        given = topic_tree
    if given is None:
        return Tree.from_topics([ANY_TOPIC])
    if isinstance(given, TopicModel):
        return given
    if isinstance(given, str | Path):
        return load_topics(given)
    if isinstance(given, Mapping):
        return Tree.from_dict(given)
    if isinstance(given, Sequence) and given:
        return Tree.from_topics(given)
    raise ConfigError(
        f"topic_model: expected a Tree, a Graph, a list of topics that is not empty, nested topics or the path of a file, got {given!r}."
    )


def check_count(name: str, value: object) -> None:
    """Refuses a value that is not a whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name}: expected a whole number, 1 or more, got {value!r}.")


def check_names(options: Mapping[str, Any], own: Sequence[str]) -> None:
    """Refuses names that are not parameters of a generator or a provider; the error gives the nearest name."""
    known = list(dict.fromkeys([*own, *OPTION_SCHEMAS]))
    for name in options:
        if name not in OPTION_SCHEMAS:
            hint = did_you_mean(_NAMES.get(name, name), known)
            raise DataSetGeneratorError(f"{name}: A DataSetGenerator has no such parameter. {hint}")


class explained:  # noqa: N801 - used like a function
    """Turns errors about names and values into `DataSetGeneratorError`s."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValidationError):
            problems = [_in_words(detail) for detail in error.errors(include_url=False)]
            raise DataSetGeneratorError(" ".join(problems)) from error
        if isinstance(error, DatafastError) and not isinstance(error, DataSetGeneratorError):
            message, key = str(error), getattr(error, "key", None)
            if key in _FIELDS and message.startswith(f"{key}: "):
                message = _FIELDS[key] + message.removeprefix(key)
            raise DataSetGeneratorError(message) from error


_FIELDS = {
    "examples_per_call": "batch_size",
    "num_rows": "num_steps",
    "num_examples": "default_num_examples",
    "topics": "topic_model",
    "model_id": "model_name",
    "timeout": "request_timeout",
    "rpm_limit": "max_requests_per_minute",
    "tpm_limit": "max_tokens_per_minute",
    "retry_delay_s": "initial_retry_delay",
    "max_retry_delay_s": "max_retry_delay",
    "max_parse_retries": "sample_retries",
}


def _in_words(detail: Any) -> str:
    message = in_our_words(str(detail["msg"]).removeprefix("Value error, "))
    place = [_FIELDS.get(str(part), str(part)) for part in detail["loc"]]
    given = "" if message.endswith((".", "?")) else f", got {detail['input']!r}."  # a whole sentence needs no value
    return f"{'.'.join(place)}: {message}{given}" if place else message
