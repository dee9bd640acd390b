"""Objects in buckets: Amazon S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage, by the library obstore.

Credentials and the endpoint come from the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE's files are not read, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, ...) or from the role of the machine. They are never read by us.

Every request is one request: what fails is tried again by the caller, who knows how long and what to tell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from datafast.errors import MissingExtraError
from datafast.storage.objects import Conflict, Missing, ObjectInfo, Refused, StoreError

if TYPE_CHECKING:
    from datafast._util.remote import RemoteUrl

__all__ = ["Buckets"]

T = TypeVar("T")

_TIMEOUT = "60s"
_CONNECT_TIMEOUT = "10s"
_QUERY = re.compile(r"\?\S+")  # the signature of a request may stand there
_ENDPOINTS = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "GOOGLE_BASE_URL",
    "AZURE_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
)


class Buckets:
    """The objects of one output in a bucket.

    Raises:
        MissingExtraError: obstore is not installed.
        Refused: its environment variables are not what they should be.
    """

    lease_s = 60.0
    least_upload_s = 0.0

    def __init__(self, url: RemoteUrl) -> None:
        try:
            from obstore import exceptions, store
        except ImportError:
            raise MissingExtraError(
                f"output_file: {url} needs obstore, which is not installed. Run: pip install 'datafast[storage]'"
            ) from None
        self._errors = exceptions
        self._url = url
        kind: Any = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[url.scheme]
        plain = any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS)
        options = {"timeout": _TIMEOUT, "connect_timeout": _CONNECT_TIMEOUT, **({"allow_http": True} if plain else {})}
        self._store = self._asked(
            "open", lambda: kind(url.container, client_options=options, retry_config={"max_retries": 0})
        )

    def get(self, name: str) -> tuple[bytes, str]:
        def get() -> tuple[bytes, str]:
            found = self._store.get(self._key(name))
            return bytes(found.bytes()), _version(found.meta)

        return self._asked(name, get)

    def put(self, name: str, data: bytes) -> None:
        self._put(name, data, "overwrite")

    def create(self, name: str, data: bytes) -> str:
        return self._put(name, data, "create")

    def replace(self, name: str, data: bytes, version: str) -> str:
        e_tag, _, number = version.partition(" ")
        return self._put(name, data, {"e_tag": e_tag, **({"version": number} if number else {})})

    def overwrite(self, name: str, data: bytes) -> str:
        return self._put(name, data, "overwrite")

    def all(self) -> Iterator[ObjectInfo]:
        start = self._key("")
        pages = self._asked("", lambda: iter(self._store.list(start)))
        while (page := self._asked("", lambda: next(pages, None))) is not None:
            for found in page:
                yield ObjectInfo(found["path"].removeprefix(start), found["last_modified"], found["size"])

    def modified(self, name: str) -> datetime:
        found: datetime = self._asked(name, lambda: self._store.head(self._key(name)))["last_modified"]
        return found

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                self._asked(name, lambda name=name: self._store.delete(self._key(name)))  # type: ignore[misc]
            except Missing:
                continue

    def _key(self, name: str) -> str:
        return f"{self._url.key}/{name}"

    def _put(self, name: str, data: bytes, mode: Any) -> str:
        # In one request: parts of an upload that was given up stay in the bucket, and are paid for.
        return _version(
            self._asked(name, lambda: self._store.put(self._key(name), data, mode=mode, use_multipart=False))
        )

    def _asked(self, name: str, ask: Callable[[], T]) -> T:
        """What a function of the library returns."""
        errors = self._errors
        try:
            return ask()
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise Refused(
                    f"{self._url}: There is no bucket {self._url.container}. Make it, or correct the URL."
                ) from None
            raise Missing(f"{self._url} has no object {name}.") from None
        except (errors.AlreadyExistsError, errors.PreconditionError):
            raise Conflict(f"{self._url}: The object {name} was written by another process meanwhile.") from None
        except (errors.PermissionDeniedError, errors.UnauthenticatedError, PermissionError) as error:
            raise Refused(
                f"{self._url}: The store lets nobody in with these credentials ({_short(error)}). Set those of the store in the "
                f"environment. They must allow to list, read, write and delete."
            ) from None
        except errors.NotSupportedError:
            raise NotImplementedError from None
        except errors.BaseError as error:
            raise StoreError(f"{self._url}: {_short(error)}.") from None


def _version(found: Any) -> str:
    return f"{found.get('e_tag') or ''} {found.get('version') or ''}".strip()


def _short(error: BaseException) -> str:
    """What happened, without the library's own view of it, which may quote headers."""
    text = str(error).partition("\n")[0].partition("<")[0]
    return _QUERY.sub("", text).strip(" :.")[:300]
