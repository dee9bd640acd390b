"""From the engine's typed events to the mappings that users of DeepFabric know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from datafast.engine.events import CallFinished, Event, ItemDone, ItemFailed, Retry
from datafast.errors import RunStopped
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.datasets.conversation.config import ConversationDatasetConfig
    from datafast.errors import DatafastError
    from datafast.types import RunReport

__all__ = ["Progress"]


class Progress:
    """The steps of one run. A step is the samples of one call; steps are numbered from 1 as they end."""

    def __init__(self, *, model_name: str, config: ConversationDatasetConfig, num_rows: int) -> None:
        self._model_name = model_name
        self._config = config
        self._num_rows = num_rows
        self._steps = 0
        self._total_steps = -(-num_rows // config.examples_per_call)
        self._done: ItemDone | None = None

    def start(self) -> dict[str, Any]:
        size = self._config.examples_per_call
        return {
            "event": "generation_start",
            "model_name": self._model_name,
            "num_steps": self._num_rows,
            "batch_size": size,
            "total_samples": self._num_rows,
            "total_steps": self._total_steps,
        }

    def take(self, event: Event) -> Iterator[dict[str, Any]]:
        """The mappings for an event. A step's rows that came and those that failed arrive in two events."""
        if isinstance(event, ItemFailed):
            came = self._done.rows if self._done is not None and self._done.item == event.item else 0
            if not came:
                yield from self.end_of_step()
            self._done = None
            yield from self._step(came, event.rows, [f"{event.category}: {event.error}"])
            return
        yield from self.end_of_step()
        match event:
            case ItemDone():
                self._done = event
            case Retry():
                yield {"event": "retry", "reason": event.reason, "attempt": event.attempt, "wait_s": event.wait_s}
            case CallFinished():
                yield {
                    "event": "call_complete",
                    "input_tokens": event.input_tokens,
                    "output_tokens": event.output_tokens,
                    "cost_usd": event.cost_usd,
                }

    def end_of_step(self) -> Iterator[dict[str, Any]]:
        """The step that is not reported yet, if there is one."""
        if self._done is not None:
            done, self._done = self._done, None
            yield from self._step(done.rows, 0, [])

    def stopped(self, error: DatafastError) -> dict[str, Any]:
        """The last mapping of a run that ended early."""
        if isinstance(error, RunStopped) and error.report.stop_cause is StopCause.INTERRUPTED:
            return {"event": "generation_interrupted", "message": str(error)}
        return {"event": "generation_error", "error": str(error)}

    @staticmethod
    def interrupted(output_file: object) -> dict[str, Any]:
        """The last mapping of a run that its program interrupted."""
        kept = f"Rows and replies so far are kept in {output_file}. The same call goes on with them."
        return {"event": "generation_interrupted", "message": f"Interrupted. {kept}"}

    def _step(self, generated: int, failed: int, reasons: list[str]) -> Iterator[dict[str, Any]]:
        self._steps += 1
        yield {"event": "step_start", "step": self._steps, "total_steps": self._total_steps}
        yield {
            "event": "step_complete",
            "step": self._steps,
            "samples_generated": generated,
            "success": not failed,
            "failed_in_step": failed,
            "failure_reasons": reasons,
        }
        if not generated:
            yield {"event": "step_failed", "step": self._steps, "message": " ".join(reasons)}

    @staticmethod
    def complete(report: RunReport) -> dict[str, Any]:
        return {
            "event": "generation_complete",
            "total_samples": report.written,
            "failed_samples": report.failed,
            "input_tokens": report.input_tokens,
            "output_tokens": report.output_tokens,
            "cost_usd": report.cost_usd,
        }
