"""Every error that datafast raises on purpose, in one tree.

    DatafastError
    ├── ConfigError (also a ValueError)     the config, the command or the environment is wrong; nothing was sent
    │   ├── MissingKeyError                 no API key: names the environment variable
    │   └── MissingExtraError               an optional package is not installed: names the command that installs it
    ├── OutputError                         the output file or its ledger cannot be used as they are
    │   ├── OutputInUseError                another run writes to the same output
    │   ├── OutputChangedError              committed rows were edited, or the ledger is missing
    │   └── OutputWriteError                rows cannot be saved (disk full, permission lost)
    ├── ProviderError (also a RuntimeError) one request failed; `kind` says what to do about it
    ├── ReplyError (also a RuntimeError)    a reply arrived and is not what was asked; `category` says why
    ├── PartialResults (both, and a group)  some of the prompts given to `provider.generate` at once failed; carries all results
    ├── ToolError                           raised by a Python function that is a tool: the message is the result of the call
    ├── CallFailed                          a call of an item failed for good; the item becomes a failure record
    ├── DataSetGeneratorError               a DataSetGenerator cannot do what it was asked; carries the run's report if there is one
    ├── GrowthError                         what rows are about could not be grown; replies are kept, and growing again goes on
    │   └── TopicsError                     a topic model could not be grown
    ├── PublishError                        a push to the Hub failed; files on disk are untouched
    └── RunStopped                          a run ended early and can be resumed; carries its report

Messages say what is wrong and what to do next, and never contain an API key.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from datafast.plain import plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datafast.types import RateLimits, RunReport

__all__ = [
    "Action",
    "CallFailed",
    "ConfigError",
    "DataSetGeneratorError",
    "DatafastError",
    "DatafastWarning",
    "ErrorKind",
    "GrowthError",
    "MissingExtraError",
    "MissingKeyError",
    "OutputChangedError",
    "OutputError",
    "OutputInUseError",
    "OutputWriteError",
    "PartialResults",
    "ProviderError",
    "PublishError",
    "ReplyCategory",
    "ReplyError",
    "RunStopped",
    "ToolError",
    "TopicsError",
    "plain_text",
]


class DatafastWarning(UserWarning):
    """Something was accepted that the user probably did not mean."""


class DatafastError(Exception):
    """Base of every error that datafast raises on purpose. Its text is safe for a terminal, whatever it quotes."""

    def __str__(self) -> str:
        return plain_text(super().__str__())

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it can be sent to another process, whatever its constructor wants."""
        return _made_again, (type(self), self.args, self.__dict__)

    @property
    def public_name(self) -> str:
        """The name of its kind in this module; a kind that is defined elsewhere has that of the nearest kind that it belongs to."""
        return next(kind.__name__ for kind in type(self).__mro__ if kind.__module__ == __name__)


def _made_again(kind: type[DatafastError], args: tuple[Any, ...], attributes: dict[str, Any]) -> DatafastError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class ConfigError(DatafastError, ValueError):
    """The config, the command line or the environment is wrong. Raised before any request is sent.

    `key` is the parameter or config field that is wrong, if one is to blame; a front end maps it to a line of the file.
    """

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class MissingKeyError(ConfigError):
    """A provider needs an API key and none was given."""

    def __init__(self, message: str, *, variable: str) -> None:
        super().__init__(message)
        self.variable = variable


class MissingExtraError(ConfigError):
    """A feature needs an optional package that is not installed."""


class OutputError(DatafastError):
    """The output file or its ledger cannot be used as they are."""


class OutputInUseError(OutputError):
    """Another process, or another dataset of this process, writes to the same output."""


class OutputChangedError(OutputError):
    """The JSONL and its ledger do not belong together: rows were edited, or one of the two is missing."""


class OutputWriteError(OutputError):
    """Rows cannot be saved any more (disk full, permission lost). The run stops at once, so that no reply is paid for in vain."""


class Action(StrEnum):
    """What the engine does about a failed request."""

    RETRY = "retry"
    WEIGH = "weigh"
    STOP_PROVIDER = "stop_provider"
    FAIL_ITEM = "fail_item"
    STOP_RUN = "stop_run"


class ErrorKind(StrEnum):
    """What went wrong with a request, told by its status and the machine-readable fields of its body, never by prose.

    NO_COMPLETION: a success came that is not a reply of a model: a page, a stream, nothing to choose from, or too much.
    UNUSABLE_REPLY: the server itself refused what its model had written.
    """

    RATE_LIMITED = "rate_limited"
    SERVER = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    MODEL_NOT_FOUND = "model_not_found"
    QUOTA = "quota_exhausted"
    BAD_REQUEST = "bad_request"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    NO_COMPLETION = "no_completion"
    UNUSABLE_REPLY = "invalid_reply"
    LOCAL_RESOURCES = "local_resources"

    @property
    def action(self) -> Action:
        return _ACTIONS[self]


_ACTIONS = {
    ErrorKind.RATE_LIMITED: Action.RETRY,
    ErrorKind.SERVER: Action.RETRY,
    ErrorKind.TIMEOUT: Action.RETRY,
    ErrorKind.CONNECTION: Action.RETRY,
    ErrorKind.NO_COMPLETION: Action.RETRY,
    ErrorKind.UNUSABLE_REPLY: Action.RETRY,
    ErrorKind.AUTHENTICATION: Action.STOP_PROVIDER,
    ErrorKind.PERMISSION: Action.WEIGH,
    ErrorKind.MODEL_NOT_FOUND: Action.STOP_PROVIDER,
    ErrorKind.QUOTA: Action.STOP_PROVIDER,
    ErrorKind.BAD_REQUEST: Action.WEIGH,
    ErrorKind.CONTEXT_LENGTH: Action.FAIL_ITEM,
    ErrorKind.CONTENT_FILTER: Action.FAIL_ITEM,
    ErrorKind.LOCAL_RESOURCES: Action.STOP_RUN,
}


class ProviderError(DatafastError, RuntimeError):
    """One request to a provider failed.

    Attributes:
        kind: what went wrong; `kind.action` is what the engine does about it.
        status: HTTP status, or None if no answer came.
        code: the machine-readable name of the fault in the error body, if it has one.
        param: the field of the request that it blames, likewise.
        retry_after_s: seconds the server asked to wait, or None.
        rate_limits: what the server told about its limits, or None.
        body: the error body as text, with configured keys redacted.
        maybe_paid: the request may have been charged although nothing usable came back.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        rate_limits: RateLimits | None = None,
        body: str = "",
        maybe_paid: bool = False,
    ) -> None:
        super().__init__(message)
        self.maybe_paid = maybe_paid
        self.kind = kind
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s
        self.rate_limits = rate_limits
        self.body = body


class ReplyCategory(StrEnum):
    """Why a reply that arrived is not what was asked for."""

    INVALID = "invalid_reply"
    EMPTY = "empty_reply"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    BROKEN = "broken_reply"
    SHORT = "short_reply"


class ReplyError(DatafastError, RuntimeError):
    """A reply arrived and is not what was asked. The raw reply is in the ledger all the same.

    Attributes:
        category: why.
        usable: what of it can be used all the same, None for nothing: an instance of the asked model without the elements of a list
            that do not validate or come after a cut, or a text that was cut.
        left_out: the numbers of the elements that `usable` lacks between others.
    """

    def __init__(
        self,
        message: str,
        *,
        category: ReplyCategory = ReplyCategory.INVALID,
        usable: Any = None,
        left_out: Sequence[int] = (),
    ) -> None:
        super().__init__(message)
        self.category = category
        self.usable = usable
        self.left_out = left_out


class PartialResults(ExceptionGroup[Exception], DatafastError, RuntimeError):
    """Some of the prompts that `provider.generate` was given at once failed. `exceptions` are their errors.

    Attributes:
        results: one for each prompt, in their order: what came, or the error in its place.
    """

    results: list[Any]

    def __new__(cls, results: Sequence[Any]) -> PartialResults:
        failed = [result for result in results if isinstance(result, Exception)]
        made = super().__new__(
            cls,
            f"{len(failed)} of {len(results)} requests failed. The others' replies are in results. First: {failed[0]}",
            failed,
        )
        made.results = list(results)
        return made

    def derive(self, excs: Sequence[Exception]) -> ExceptionGroup[Exception]:  # type: ignore[override]
        return ExceptionGroup(self.message, excs)


class ToolError(DatafastError):
    """Raised by a Python function that is a tool: the call fails, and the message is its result. Other errors fail the row."""


class CallFailed(DatafastError):
    """A call failed for good, after everything was tried. A kind may catch it and go on without the answer.

    Attributes:
        category: an ErrorKind's or ReplyCategory's value.
        provider: who was asked.
        role: in which role.
        attempts: requests sent for this call in this run.
        prompt: what was asked (the conversation's last user message).
        raw: the last raw reply, b"" if none came.
        ends_run: whether it ends the run; the item is recorded as failed first.
    """

    def __init__(
        self,
        message: str,
        *,
        category: str,
        provider: str,
        role: str,
        attempts: int,
        prompt: str,
        raw: bytes = b"",
        ends_run: bool = False,
    ) -> None:
        super().__init__(message)
        self.category = category
        self.provider = provider
        self.role = role
        self.attempts = attempts
        self.prompt = prompt
        self.raw = raw
        self.ends_run = ends_run

    def told_as(self, message: str, *, ends_run: bool = False) -> CallFailed:
        """The same failure in other words."""
        return CallFailed(
            message,
            category=self.category,
            provider=self.provider,
            role=self.role,
            attempts=self.attempts,
            prompt=self.prompt,
            raw=self.raw,
            ends_run=ends_run,
        )


class DataSetGeneratorError(DatafastError):
    """A `DataSetGenerator` cannot do what it was asked. The reason is its `__cause__`.

    Attributes:
        report: what the run did before it ended early, None if none was begun.
        output_file: where rows and replies that were paid for are kept, None if there are none.
    """

    def __init__(self, message: str, *, report: RunReport | None = None, output_file: str | None = None) -> None:
        super().__init__(message)
        self.report = report
        self.output_file = output_file


class GrowthError(DatafastError):
    """What rows are about (personas, topics) could not be grown. All replies are recorded; growing again asks only for the rest.

    `report` says how far the run got.
    """

    def __init__(self, message: str, *, report: RunReport) -> None:
        super().__init__(message)
        self.report = report


class TopicsError(GrowthError):
    """A topic model could not be grown completely. All replies are recorded; building again asks only for the missing ones."""


class PublishError(DatafastError):
    """A push to the Hub failed. Files on disk are untouched."""


@dataclass(eq=False)
class RunStopped(DatafastError):
    """A run ended early (provider stopped, budget, disk) and can be resumed by running the same script again."""

    report: RunReport

    def __str__(self) -> str:
        return plain_text(
            f"{self.report.stop_reason}. {self.report.counts_line()}. "
            f"Run the same script again to go on; nothing is paid for twice."
        )
