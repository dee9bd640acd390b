"""Errors with which requests came back from a batch: as the ledger holds them, and what is done about them.

Whether the provider or the prompt is to blame is told by others: where some of the same batch were answered, or the provider has answered
anything before, it is the prompt.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from datafast.errors import Action, ErrorKind, ProviderError
from datafast.llms.base import ReplyMode, Request

if TYPE_CHECKING:
    from datafast.engine.batches.service import Service
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.faults import Faults
    from datafast.store.batch_book import BatchBook
    from datafast.store.batches import CallError

__all__ = ["as_text", "dropped_in", "form_of", "from_text", "is_accounts", "weigh"]

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


def form_of(request: Request) -> str:
    """How a request was put, as JSON; the same text for the same form."""
    form = {"mode": request.mode, "dropped": sorted(request.dropped_params), "bounds": request.text_bounds}
    return sys.intern(orjson.dumps({**form, "limit": request.token_limit}).decode())


def dropped_in(form: str) -> frozenset[str]:
    """The parameters that were left out of a request of this form."""
    return frozenset(orjson.loads(form)["dropped"])


def _in_form(request: Request, form: str) -> Request:
    found = orjson.loads(form)
    return replace(
        request,
        mode=ReplyMode(found["mode"]),
        dropped_params=frozenset(found["dropped"]),
        text_bounds=found["bounds"],
        token_limit=found["limit"],
    )


def is_accounts(error: ProviderError) -> bool:
    """Whether an error speaks of the account or the model. No prompt is to blame for it, and it is no try."""
    return error.kind.action in {Action.STOP_PROVIDER, Action.STOP_RUN}


def weigh(call: Call, errors: Sequence[CallError], *, faults: Faults, book: BatchBook, service: Service) -> None:
    """Puts the request as the errors want that it has met, oldest first. If the provider is to blame, its service refuses from then on.

    Raises:
        CallFailed: it must not be sent again, and the prompt is to blame.
    """
    tries = 0
    call.sent = call.sent_before = len(errors)
    for found in errors:
        error = from_text(found.error)
        call.request = _in_form(call.request, found.form)
        if faults.adapts(call, error, others_answered=found.among_answers):
            continue
        action = error.kind.action
        if action is Action.FAIL_ITEM or error.status == _TOO_LARGE:
            raise call.failed(str(error), error.kind.value) from error
        if action is Action.RETRY:
            tries += 1
            if tries > max(1, faults.max_retries):
                raise call.failed(str(error), error.kind.value) from error
        elif found.among_answers or book.has_answered(service.endpoint.label):
            raise call.failed(str(error), error.kind.value) from error
        else:
            book.forget_errors_of(service.endpoint.label)  # so that a later run asks anew
            service.refuse(error)
            return
