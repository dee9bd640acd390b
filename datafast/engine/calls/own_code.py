"""Running code of the user's within an item: off the event loop, with a limit of time, its errors told apart from ours.

Limits: a thread cannot be ended, so what takes longer than its limit goes on unheard, and the interpreter waits for it at its end.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import orjson
from pydantic_core import PydanticSerializationError, to_jsonable_python

from datafast.errors import DatafastError

__all__ = ["OWN_CODE_FAILED", "OwnCodeError", "run_own"]

OWN_CODE_FAILED = "function_error"
"""The category of items that failed because of it."""


class OwnCodeError(DatafastError):
    """Code of the user's has raised an error, took too long, or gave what JSON cannot hold."""


async def run_own(make: Callable[[], Any], *, timeout_s: float) -> bytes:
    """What the code gives back, as JSON.

    Args:
        make: calls it. If it is async, it is awaited; otherwise it runs in a thread.

    Raises:
        OwnCodeError: see there.
    """
    try:
        async with asyncio.timeout(timeout_s):
            value = await _found(make)
    except TimeoutError as error:
        raise OwnCodeError(f"It took longer than {timeout_s:g} s. Make it faster, or raise its timeout_s.") from error
    try:
        return orjson.dumps(to_jsonable_python(value))
    except (PydanticSerializationError, orjson.JSONEncodeError, ValueError, RecursionError) as error:
        raise OwnCodeError(
            f"It gave what JSON cannot hold: {error}. Return texts, numbers, lists and mappings."
        ) from error


async def _found(make: Callable[[], Any]) -> Any:
    try:
        found = await asyncio.to_thread(make)
        return await found if inspect.isawaitable(found) else found
    except Exception as error:  # the user's own code: whatever it raises is about this item
        raise OwnCodeError(f"{type(error).__name__}: {error}") from error
