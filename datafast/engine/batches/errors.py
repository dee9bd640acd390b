"""Errors with which requests came back from a batch: as the ledger holds them, and what is done about them.

Whether the provider or the prompt is to blame is told by others: where some of the same batch were answered, or the provider has answered
anything before, it is the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from datafast.engine.stop import ItemPending
from datafast.errors import Action, ErrorKind, ProviderError

if TYPE_CHECKING:
    from datafast.engine.batches.service import Service
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.faults import Faults
    from datafast.store.batch_book import BatchBook
    from datafast.store.batches import CallError

__all__ = ["as_text", "from_text", "is_accounts", "weigh"]

_TOO_LARGE = 413
_LONGEST_BODY = 4_000


def as_text(error: ProviderError) -> str:
    """An error as JSON."""
    kept = {"kind": error.kind.value, "status": error.status, "code": error.code, "param": error.param}
    return orjson.dumps({**kept, "message": str(error), "body": error.body[:_LONGEST_BODY]}).decode()


def from_text(text: str) -> ProviderError:
    found = orjson.loads(text)
    message, kind = found.pop("message"), ErrorKind(found.pop("kind"))
    return ProviderError(message, kind=kind, **found)


def is_accounts(error: ProviderError) -> bool:
    """Whether an error speaks of the account or the model. No prompt is to blame for it, and it is no try."""
    return error.kind.action in {Action.STOP_PROVIDER, Action.STOP_RUN}


def weigh(
    call: Call, errors: Sequence[CallError], *, faults: Faults, book: BatchBook, service: Service, max_retries: int
) -> None:
    """Puts the request as the errors want that it has met, oldest first.

    Raises:
        CallFailed: it must not be sent again, and the prompt is to blame.
        ItemPending: the provider is to blame; it was stopped.
    """
    tries = 0
    call.sent = call.sent_before = len(errors)
    for found in errors:
        error = from_text(found.error)
        if faults.adapts(call, error):
            continue
        action = error.kind.action
        if action is Action.FAIL_ITEM or error.status == _TOO_LARGE:
            raise call.failed(str(error), error.kind.value) from error
        if action is Action.RETRY:
            tries += 1
            if tries > max(1, max_retries):
                raise call.failed(str(error), error.kind.value) from error
        elif found.among_answers or book.has_answered(service.endpoint.label):
            raise call.failed(str(error), error.kind.value) from error
        else:
            book.forget_errors(found.batch)  # so that a later run asks again
            service.stop(error)
            raise ItemPending from error
