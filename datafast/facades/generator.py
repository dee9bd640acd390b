"""`DataSetGenerator`: conversations about a topic model, with DeepFabric's names.

    generator = DataSetGenerator(generation_system_prompt="You are an expert instructor.", provider="openai", model_name="gpt-4")
    dataset = generator.create_data(num_steps=100, batch_size=5, topic_model=tree)
    dataset.save("training_data.jsonl")

It uses `ConversationDataset` and the same engine: every reply is recorded before anything else is done with it. With `output_file`, an
interrupted call can continue in another process. Without it, rows and replies are in a temporary folder until they are returned. If a run
ends early, the folder stays and the error names it; the same call then continues there.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from datafast._util.user_path import user_path
from datafast.datasets.conversation.kind import ConversationDataset, ConversationDatasetConfig
from datafast.engine.settings import RunConfig
from datafast.errors import ConfigError, DatafastError, DataSetGeneratorError, RunStopped
from datafast.facades.deepfabric.calls import Call, Folders
from datafast.facades.deepfabric.generated import GeneratedDataset
from datafast.facades.deepfabric.input import check_count, check_names, explained, topics_of
from datafast.facades.deepfabric.progress import Progress
from datafast.facades.deepfabric.rate_limit import RateLimit
from datafast.llms.registry import provider_from_spec
from datafast.topics.model import TopicModel

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider
    from datafast.types import FailedItem

__all__ = ["DataSetGenerator"]


class DataSetGenerator:
    """Generates conversations about topics; see the module.

    Args:
        generation_system_prompt: the system message of the calls that write conversations.
        provider: the name of a provider. model_name: the model, as the provider names it.
        instructions: what the conversations should be like.
        temperature: 0 to 2.
        max_retries: how often a failed request is sent again.
        request_timeout: seconds for one request.
        default_batch_size: the default number of conversations that one call asks for.
        default_num_examples: rows of `example_data` that each prompt shows.
        conversation_type: "basic" or "chain_of_thought" ("cot").
        reasoning_style: for chain_of_thought, "freetext" or "agent".
        sys_msg: whether the conversations begin with a system message.
        rate_limit: any of max_requests_per_minute, max_tokens_per_minute, max_retries, initial_retry_delay, max_retry_delay.
        example_data: rows that show what is wanted: a list, a file, a Hugging Face dataset.
        dataset_system_prompt: the system message of the conversations; by default `generation_system_prompt`.
        tools: tools of the agent, in OpenAI's tool schema.
        max_turns: questions of the user in one conversation, at most.
        topic_selection: "sequential", "shuffle" or "balanced".
        max_concurrency: requests in flight at once.
        seed: the seed of every random choice.
        output_file: a JSONL for the rows, with its ledger next to it, so that a later process can continue.
        **options: more parameters of the provider: api_key, api_base, max_completion_tokens, price ...

    Raises:
        DataSetGeneratorError: a name or a value is wrong; nothing was sent.

    Attributes:
        failed_samples: a record of each failed sample, over all calls.
        dataset: the result of the last call; None before the first.
    """

    def __init__(
        self,
        *,
        generation_system_prompt: str,
        provider: str,
        model_name: str,
        instructions: str = "",
        temperature: float = 0.7,
        max_retries: int = 3,
        request_timeout: float = 30,
        default_batch_size: int = 5,
        default_num_examples: int = 3,
        conversation_type: str = "basic",
        reasoning_style: str | None = None,
        sys_msg: bool = True,
        rate_limit: Mapping[str, float] | None = None,
        example_data: Any = None,
        dataset_system_prompt: str | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        max_turns: int = 1,
        topic_selection: str = "sequential",
        max_concurrency: int = 32,
        seed: int = 0,
        output_file: str | Path | None = None,
        **options: Any,
    ) -> None:
        check_names(options, _own_names())
        self.failed_samples: list[dict[str, Any]] = []
        self.dataset: GeneratedDataset | None = None
        self._noted: set[tuple[str, str]] = set()
        self._batch_size = default_batch_size
        self._output_file = user_path(output_file) if output_file is not None else None
        self._folders = Folders()
        self._spec: dict[str, Any] = {
            "provider": provider,
            "model_id": model_name,
            "temperature": temperature,
            "timeout": request_timeout,
            **options,
        }
        self._fields: dict[str, Any] = {
            "instructions": instructions,
            "generation_system_prompt": generation_system_prompt,
            "conversation_type": conversation_type,
            "reasoning_style": reasoning_style,
            "sys_msg": sys_msg,
            "dataset_system_prompt": dataset_system_prompt or None,
            "tools": [dict(tool) for tool in tools] if tools else None,
            "max_turns": max_turns,
            "topic_selection": topic_selection,
            "example_data": example_data,
            "num_examples": default_num_examples,
            "output_format": "conversational",
        }
        self._run: dict[str, float] = {"max_concurrency": max_concurrency, "seed": seed, "max_retries": max_retries}
        with explained():
            if rate_limit is not None and not isinstance(rate_limit, Mapping):
                known = ", ".join(RateLimit.model_fields)
                raise ConfigError(f"rate_limit: expected a mapping with any of {known}, got {rate_limit!r}.")
            limits = RateLimit.model_validate(rate_limit or {})
            self._apply(limits)
            self._provider()
            check_count("default_batch_size", default_batch_size)
            self._config(topics_of(None), 1, default_batch_size, self._fields, Path("rows.jsonl"))

    def _apply(self, limits: RateLimit) -> None:
        self._spec |= {"rpm_limit": limits.max_requests_per_minute, "tpm_limit": limits.max_tokens_per_minute}
        given = {
            "max_retries": limits.max_retries,
            "retry_delay_s": limits.initial_retry_delay,
            "max_retry_delay_s": limits.max_retry_delay,
        }
        self._run |= {name: value for name, value in given.items() if value is not None}

    # -- generating

    async def create_data_async(
        self,
        num_steps: int | None = None,
        batch_size: int | None = None,
        topic_model: Any = None,
        model_name: str | None = None,
        sys_msg: bool | None = None,
    ) -> GeneratedDataset:
        """Generates conversations.

        Args:
            num_steps: the number of conversations; by default one for each topic.
            batch_size: the number that one call asks for.
            topic_model: a Tree or Graph, a list of topics, nested topics, or the path of a file with topics.
            model_name: another model for this call.
            sys_msg: whether the conversations begin with a system message, for this call.

        Raises:
            DataSetGeneratorError: a value is wrong, or the run ended early; rows and replies are kept.
        """
        with explained():
            call = self._call(num_steps, batch_size, topic_model, model_name, sys_msg)
        with self._folders.keeping(call):
            try:
                await call.dataset.generate_async([call.provider])
            except DatafastError as error:
                self._give_up(call, error)
            return self._take(call)

    def create_data(
        self,
        num_steps: int | None = None,
        batch_size: int | None = None,
        topic_model: Any = None,
        model_name: str | None = None,
        sys_msg: bool | None = None,
    ) -> GeneratedDataset:
        """`create_data_async` without await; works below a running event loop too."""
        with explained():
            call = self._call(num_steps, batch_size, topic_model, model_name, sys_msg)
        with self._folders.keeping(call):
            try:
                call.dataset.generate([call.provider])
            except DatafastError as error:
                self._give_up(call, error)
            return self._take(call)

    async def create_data_with_events_async(
        self,
        num_steps: int | None = None,
        batch_size: int | None = None,
        topic_model: Any = None,
        model_name: str | None = None,
        sys_msg: bool | None = None,
    ) -> AsyncGenerator[dict[str, Any] | GeneratedDataset, None]:
        """`create_data_async` as an iteration over events; the last element is the dataset.

        Events are mappings with `event`: `generation_start` (total_samples, num_steps, batch_size, model_name), `step_complete` after
        each call (step, samples_generated, failed_in_step, failure_reasons), `retry`, `call_complete` (tokens, cost_usd), and
        `generation_complete` (total_samples, failed_samples).
        """
        with explained():
            call = self._call(num_steps, batch_size, topic_model, model_name, sys_msg)
        progress = Progress(model_name=call.provider.model_id, config=call.dataset.config, num_rows=call.num_rows)
        with self._folders.keeping(call):
            yield progress.start()
            try:
                async with contextlib.aclosing(call.dataset.generate_events([call.provider])) as events:
                    async for event in events:
                        for entry in progress.take(event):
                            yield entry
            except DatafastError as error:
                for entry in progress.end_of_step():
                    yield entry
                yield {"event": "generation_error", "error": str(error)}
                self._give_up(call, error)
            dataset = self._take(call)
            yield progress.complete(dataset.report)
            yield dataset

    def create_batch(self, *_: Any, **__: Any) -> NoReturn:
        """Does not exist; raises an error that says what to use instead."""
        raise DataSetGeneratorError(
            "create_batch() does not exist. Use create_data(num_steps=..., batch_size=...), create_data_async or "
            "create_data_with_events_async."
        )

    # -- results

    def save_dataset(self, path: str | Path) -> None:
        """Saves the result of the last call; see `GeneratedDataset.save`."""
        if self.dataset is None:
            raise DataSetGeneratorError("There is nothing to save yet. Call create_data() first.")
        self.dataset.save(path)

    def summarize_failures(self) -> dict[str, Any]:
        """Failures over all calls: `total_failures`, `failure_types` (counts by category), `failure_examples` (one error of each)."""
        types = Counter(sample["category"] for sample in self.failed_samples)
        examples: dict[str, str] = {}
        for sample in self.failed_samples:
            examples.setdefault(sample["category"], sample["error"])
        return {
            "total_failures": len(self.failed_samples),
            "failure_types": dict(types.most_common()),
            "failure_examples": examples,
        }

    def print_failure_summary(self) -> None:
        """Prints `summarize_failures`."""
        summary = self.summarize_failures()
        lines = [f"{summary['total_failures']} samples failed"]
        for category, count in summary["failure_types"].items():
            lines.append(f"  {count} {category}, for instance: {summary['failure_examples'][category]}")
        sys.stdout.write("\n".join(lines) + "\n")

    # -- parts

    def _provider(self, model_name: str | None = None) -> LLMProvider:
        name = self._spec["provider"]
        if not isinstance(name, str):
            raise ConfigError(
                f"provider: expected a name, like 'openai', got {name!r}. A ConversationDataset takes provider objects."
            )
        return provider_from_spec({**self._spec, **({"model_id": model_name} if model_name else {})})

    def _config(
        self, topics: TopicModel, num_rows: int | None, batch_size: int, fields: Mapping[str, Any], output: Path
    ) -> ConversationDatasetConfig:
        return ConversationDatasetConfig(
            **fields,
            topics=topics,
            num_rows=num_rows,
            examples_per_call=batch_size,
            output_file=output,
            run=RunConfig.model_validate(self._run),
        )

    def _call(
        self,
        num_steps: int | None,
        batch_size: int | None,
        topic_model: Any,
        model_name: str | None,
        sys_msg: bool | None,
    ) -> Call:
        if num_steps is not None:
            check_count("num_steps", num_steps)
        topics = topics_of(topic_model)
        fields = self._fields if sys_msg is None else {**self._fields, "sys_msg": sys_msg}
        batch = batch_size if batch_size is not None else self._batch_size
        check_count("batch_size", batch)
        provider = self._provider(model_name)
        about = orjson.dumps(
            # A tree that the call grows is the same before and after.
            [
                num_steps,
                batch,
                provider.identity,
                id(topics) if hasattr(topics, "config") else topics.to_dict(),
                sys_msg,
            ]
        )
        config = self._config(topics, num_steps, batch, fields, self._output_file or Path("rows.jsonl"))
        scratch = None if self._output_file else self._folders.take(about)
        if scratch is not None:
            config = config.model_copy(update={"output_file": scratch.folder / config.output_file})
        return Call(ConversationDataset(config), provider, about, scratch)

    def _take(self, call: Call) -> GeneratedDataset:
        report = call.dataset.report
        assert report is not None  # noqa: S101 - the run has ended well
        self._note_failures(call.dataset)
        rows = [row.model_dump(mode="json") for row in call.dataset.data_rows]
        self.dataset = GeneratedDataset(rows, report=report, row_model=call.dataset.row_model)
        call.taken = True
        return self.dataset

    def _give_up(self, call: Call, error: DatafastError) -> NoReturn:
        report = error.report if isinstance(error, RunStopped) else None
        kept = None
        if report is not None:
            kept = str(call.dataset.config.output_file)
            self._note_failures(call.dataset)
        where = f" Rows and replies so far are kept in {kept}. The same call goes on with them." if kept else ""
        raise DataSetGeneratorError(f"{error}{where}", report=report, output_file=kept) from error

    def _note_failures(self, dataset: ConversationDataset) -> None:
        """Adds each failed sample once for each output, because a call that continues sees its earlier failures again."""
        output = str(dataset.config.output_file)
        for item in dataset.failed_items:
            new = [uuid for uuid in item.uuids if (output, uuid) not in self._noted]
            self._noted.update((output, uuid) for uuid in new)
            self.failed_samples += [_sample(item, uuid) for uuid in new]


def _own_names() -> list[str]:
    parameters = inspect.signature(DataSetGenerator.__init__).parameters
    return [name for name in parameters if name not in {"self", "options"}]


def _sample(item: FailedItem, uuid: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "topic": item.values.get("topic", ""),
        "category": item.category,
        "error": item.error,
        "provider": item.provider,
        "attempts": item.attempts,
        "prompt": item.prompt,
        "raw_content": item.raw_reply,
    }
