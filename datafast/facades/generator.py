"""`DataSetGenerator`: conversations about a topic model, with DeepFabric's names.

    generator = DataSetGenerator(generation_system_prompt="You are an expert instructor.", provider="openai", model_name="gpt-4")
    dataset = generator.create_data(num_steps=100, batch_size=5, topic_model=tree)
    dataset.save("training_data.jsonl")

It uses `ConversationDataset` and the same engine: every reply is recorded before anything else is done with it. Without `output_file`, rows
and replies are in a temporary folder until the process ends. If a run ends early, or the process dies or ends with an error, the folder
stays, and the same call continues there, also in a later process; the error names it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from datafast._util import background
from datafast.datasets.conversation.kind import ConversationDataset
from datafast.engine.settings import RunConfig
from datafast.errors import DatafastError, DataSetGeneratorError, RunStopped
from datafast.facades.deepfabric.calls import Call, Folders, about_call
from datafast.facades.deepfabric.first_versions import Arguments
from datafast.facades.deepfabric.generated import Dataset
from datafast.facades.deepfabric.input import check_count, explained, topics_of
from datafast.facades.deepfabric.progress import Progress
from datafast.facades.deepfabric.settings import Settings, given_in

if TYPE_CHECKING:
    from datafast.topics.model import TopicModel
    from datafast.types import FailedItem

__all__ = ["DataSetGenerator"]


class DataSetGenerator:
    """Generates conversations about topics; see the module.

    Args:
        generation_system_prompt: the system message of the calls that write conversations.
        provider: the name of a provider; not needed if `model_name` begins with it: "openai/gpt-4".
        model_name: the model, as the provider names it.
        instructions: what the conversations should be like.
        temperature: 0 to 2.
        max_retries: how often a failed request is sent again.
        request_timeout: seconds for one request.
        max_tokens: tokens of one conversation at most.
        default_batch_size: the default number of conversations that one call asks for.
        default_num_examples: rows of `example_data` that each prompt shows.
        conversation_type: "basic", "chain_of_thought" ("cot") or "tools", or one of DeepFabric 2.x and 3.x.
        reasoning_style: for chain_of_thought, "freetext" or "agent".
        sys_msg: whether the conversations begin with a system message.
        rate_limit: any of max_requests_per_minute, max_tokens_per_minute, max_retries, initial_retry_delay, max_retry_delay.
        example_data: rows that show what is wanted: a list, a file, a DataFrame, a Hugging Face dataset.
        dataset_system_prompt: the system message of the conversations; by default `generation_system_prompt`.
        tools: tools of the agent, in OpenAI's schema, MCP's, or DeepFabric's.
        tool_registry_path: a JSON or YAML file with more tools.
        available_tools: the names of those that it uses; without `tools` those of DeepFabric's own.
        agent_mode: "single_turn" or "multi_turn": an agent with tools and one question, or several.
        min_turns: the fewest questions of the user in one conversation.
        max_turns: the most of them.
        max_steps: steps of an agent for each of them.
        min_tool_calls: calls in one conversation, as a wish.
        sample_retries: how often a model is asked again, with the reason, if its reply is not what was asked for.
        topic_selection: "sequential", "shuffle" or "balanced".
        output_format: "conversational", "instruction", or a mapping of fields to templates.
        max_concurrency: requests in flight at once.
        seed: the seed of every random choice.
        output_file: a JSONL for the rows, with its ledger next to it, so that a later process can continue wherever it runs.
        run: more settings of runs, as a `RunConfig` or a mapping: budget_usd, max_calls, max_tokens, top_up, ordered ...
        args: the same parameters in one object, as in the first versions.
        **options: more parameters of the provider: api_key, api_base, max_completion_tokens, price ...

    Raises:
        DataSetGeneratorError: a name or a value is missing or wrong; nothing was sent.

    Attributes:
        failed_samples: a record of each failed sample, over all calls.
        dataset: the result of the last call; None before the first.
        config: what it was made with, but for parameters of the provider.
    """

    def __init__(
        self,
        *,
        generation_system_prompt: str | None = None,
        provider: str | None = None,
        model_name: str | None = None,
        instructions: str = "",
        temperature: float = 0.7,
        max_retries: int = 3,
        request_timeout: float = 30,
        max_tokens: int | None = None,
        default_batch_size: int = 5,
        default_num_examples: int = 3,
        conversation_type: str = "basic",
        reasoning_style: str | None = None,
        sys_msg: bool = True,
        rate_limit: Mapping[str, Any] | None = None,
        example_data: Any = None,
        dataset_system_prompt: str | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_registry_path: str | Path | None = None,
        available_tools: Sequence[str] | None = None,
        agent_mode: str | None = None,
        min_turns: int | None = None,
        max_turns: int | None = None,
        max_steps: int | None = None,
        min_tool_calls: int | None = None,
        sample_retries: int | None = None,
        topic_selection: str = "sequential",
        output_format: str | Mapping[str, str] = "conversational",
        max_concurrency: int = 32,
        seed: int = 0,
        output_file: str | Path | None = None,
        run: RunConfig | Mapping[str, Any] | None = None,
        args: object = None,
        **options: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in _own_names()}
        self.failed_samples: list[dict[str, Any]] = []
        self.dataset: Dataset | None = None
        self._noted: set[tuple[str, str]] = set()
        self._folders = Folders()
        with explained():
            self._settings = Settings({**given, **given_in(args, options, given)}, list(given))
        self.config = Arguments(**self._settings.given)

    # -- generating

    async def create_data_async(
        self,
        num_steps: int | None = None,
        batch_size: int | None = None,
        topic_model: Any = None,
        model_name: str | None = None,
        sys_msg: bool | None = None,
        num_example_demonstrations: int | None = None,
        *,
        topic_tree: Any = None,
        retry_failed: bool = False,
    ) -> Dataset:
        """Generates conversations.

        Args:
            num_steps: the number of conversations; by default one for each topic.
            batch_size: the number that one call asks for.
            topic_model: a Tree or Graph, a list of topics, nested topics, or the path of a file with topics.
            model_name: another model for this call.
            sys_msg: whether the conversations begin with a system message, for this call.
            num_example_demonstrations: rows of `example_data` that each prompt shows, for this call.
            topic_tree: what the first versions call `topic_model`.
            retry_failed: try the samples again that failed in the same call before, and return all rows.

        Raises:
            DataSetGeneratorError: a value is wrong, or the run ended early; rows and replies are kept.
        """
        with explained():
            topics = topics_of(topic_model, topic_tree)
            call = self._call(
                num_steps, batch_size, topics, model_name, sys_msg, num_example_demonstrations, retry_failed
            )
        with self._folders.keeping(call):
            try:
                await call.dataset.generate_async([call.provider], retry_failed=retry_failed)
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
        num_example_demonstrations: int | None = None,
        *,
        topic_tree: Any = None,
        retry_failed: bool = False,
    ) -> Dataset:
        """`create_data_async` without await; works below a running event loop too."""
        with explained():
            topics = topics_of(topic_model, topic_tree)
            call = self._call(
                num_steps, batch_size, topics, model_name, sys_msg, num_example_demonstrations, retry_failed
            )
        with self._folders.keeping(call):
            try:
                call.dataset.generate([call.provider], retry_failed=retry_failed)
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
        num_example_demonstrations: int | None = None,
        *,
        topic_tree: Any = None,
        retry_failed: bool = False,
    ) -> AsyncGenerator[dict[str, Any] | Dataset, None]:
        """`create_data_async` as an iteration over events; the last element is the dataset.

        Events are mappings with `event`: `generation_start` (total_samples, num_steps, batch_size, model_name); after each call
        `step_start` (step, total_steps), `step_complete` (step, samples_generated, failed_in_step, failure_reasons) and, if nothing
        came, `step_failed` (step, message); `retry`, `call_complete` (tokens, cost_usd); at the end `generation_complete`
        (total_samples, failed_samples), `generation_interrupted` (message) or `generation_error` (error). After an interruption
        (Ctrl-C, or the task was cancelled), the next step of the iteration raises it.
        """
        with explained():
            topics = topics_of(topic_model, topic_tree)
            call = self._call(
                num_steps, batch_size, topics, model_name, sys_msg, num_example_demonstrations, retry_failed
            )
        progress = Progress(model_name=call.provider.model_id, config=call.dataset.config, num_rows=call.num_rows)
        with self._folders.keeping(call):
            yield progress.start()
            try:
                async with contextlib.aclosing(
                    call.dataset.generate_events([call.provider], retry_failed=retry_failed)
                ) as events:
                    async for event in events:
                        for entry in progress.take(event):
                            yield entry
            except DatafastError as error:
                for entry in progress.end_of_step():
                    yield entry
                yield progress.stopped(error)
                self._give_up(call, error)
            except asyncio.CancelledError:  # by Ctrl-C, or by the program; what was in flight has landed
                yield progress.interrupted(call.dataset.config.output_file)
                raise
            dataset = self._take(call)
            yield progress.complete(call.report)
            yield dataset

    def create_data_with_events(self, *args: Any, **options: Any) -> Iterator[dict[str, Any] | Dataset]:
        """`create_data_with_events_async` for code without an event loop, or below a running one."""
        events = self.create_data_with_events_async(*args, **options)
        one_at_a_time = asyncio.Lock()  # a step that was interrupted goes on until what is in flight has landed
        taken: list[dict[str, Any] | Dataset] = []

        async def step() -> bool:
            async with one_at_a_time:
                event = await anext(events, None)
            taken.extend([event] if event is not None else [])
            return event is not None

        async def last_step() -> None:
            async with one_at_a_time:
                pass

        async def close() -> None:
            async with one_at_a_time:
                await events.aclose()

        try:
            while background.run(step()):
                yield taken.pop()
        except KeyboardInterrupt:
            background.run(last_step())
            yield from taken
            raise
        finally:
            background.run(close())

    @property
    def dataset_system_prompt(self) -> str:
        """The system message of the conversations."""
        return str(self.config.dataset_system_prompt or self.config.generation_system_prompt)

    def create_batch(self, *_: Any, **__: Any) -> NoReturn:
        """Does not exist; raises an error that says what to use instead."""
        raise DataSetGeneratorError(
            "create_batch() does not exist. Use create_data(num_steps=..., batch_size=...), create_data_async or "
            "create_data_with_events_async."
        )

    # -- results

    def save_dataset(self, path: str | Path) -> None:
        """Saves the result of the last call; see `Dataset.save`."""
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

    def _call(
        self,
        num_steps: int | None,
        batch_size: int | None,
        topics: TopicModel,
        model_name: str | None,
        sys_msg: bool | None,
        num_examples: int | None,
        retry_failed: bool,
    ) -> Call:
        for name, count in (("num_steps", num_steps), ("batch_size", batch_size)):
            if count is not None:
                check_count(name, count)
        provider = self._settings.provider(model_name, batch_size=batch_size)
        config = self._settings.config(
            topics,
            num_rows=num_steps,
            batch_size=batch_size,
            sys_msg=sys_msg,
            num_examples=num_examples,
        )
        about = about_call(config, provider)
        scratch = None
        if self._settings.output_file is None:
            scratch = self._folders.take(about, again=retry_failed)
            config = config.model_copy(update={"output_file": scratch.folder / config.output_file})
        return Call(ConversationDataset(config), provider, about, scratch)

    def _take(self, call: Call) -> Dataset:
        report = call.report
        self._note_failures(call)
        rows = [row.model_dump(mode="json") for row in call.dataset.data_rows]
        call.has_failures = bool(report.failed)
        self.dataset = Dataset(rows, report=report, row_model=call.dataset.written_model)
        call.taken = True
        return self.dataset

    def _give_up(self, call: Call, error: DatafastError) -> NoReturn:
        report = error.report if isinstance(error, RunStopped) else None
        kept = None
        if report is not None:
            kept = str(call.dataset.config.output_file)
            self._note_failures(call)
        where = (
            f" Rows and replies so far are kept in {kept}. The same call goes on with them, in another process too."
            if kept
            else ""
        )
        raise DataSetGeneratorError(f"{error}{where}", report=report, output_file=kept) from error

    def _note_failures(self, call: Call) -> None:
        """Adds each failed sample once for each output, because a call that continues sees its earlier failures again."""
        output = str(call.dataset.config.output_file)
        new = [
            (item, uuid)
            for item in call.dataset.failed_items
            for uuid in item.uuids
            if (output, uuid) not in self._noted
        ]
        self._noted.update((output, uuid) for _, uuid in new)
        topics = call.topics_of({uuid for _, uuid in new}) if new else {}
        self.failed_samples += [_sample(item, uuid, topics.get(uuid)) for item, uuid in new]


@cache
def _own_names() -> frozenset[str]:
    parameters = inspect.signature(DataSetGenerator.__init__).parameters
    return frozenset(parameters) - {"self", "args", "options"}


def _sample(item: FailedItem, uuid: str, topic: str | None) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "topic": topic if topic is not None else item.values.get("topic", ""),
        "category": item.category,
        "error": item.error,
        "provider": item.provider,
        "attempts": item.attempts,
        "prompt": item.prompt,
        "raw_content": item.raw_reply,
    }
