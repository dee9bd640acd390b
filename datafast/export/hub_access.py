"""Who pushes, where, and whether they may: checked before a row is read."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from datafast.errors import ConfigError, MissingKeyError
from datafast.export.hub_client import Hub, HubFailed, asked

__all__ = ["Access", "check_arguments", "check_token", "endpoint", "find_token"]

# Both parts: letters, digits, '-', '_', '.', not '-' or '.' at either end, and no repository of git's own naming.
_REPO_ID = re.compile(r"[\w](?:[\w.-]*\w)?/(?!.{97})\w(?:[\w.-]*\w)?(?<!\.git)", re.ASCII)
_CONFIG_NAME = re.compile(r"\w[\w.-]{0,95}", re.ASCII)
_NO_TOKEN = re.compile(r"[^!-~]")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# What git allows as the name of a branch, without its rarer freedoms.
_REVISION = re.compile(r"\w(?:[\w./-]*\w)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Access:
    """The Hub with a token that it knows, and the name of the user, '' where it does not say."""

    hub: Hub
    token: str
    user: str

    def __repr__(self) -> str:
        return f"<access of {self.user} to {self.hub.endpoint}>"


def endpoint() -> str:
    """The address of the Hub, as HF_ENDPOINT says now: the client reads it once, when it is imported."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def find_token(token: str | None) -> str:
    """The token that is passed, else that of HF_TOKEN, else that of `hf auth login`.

    Raises:
        MissingKeyError: there is none.
        ConfigError: it cannot be one.
    """
    found = (token or os.environ.get("HF_TOKEN", "")).strip()
    if not found:
        from huggingface_hub import get_token

        found = (get_token() or "").strip()
    if not found:
        raise MissingKeyError(
            "Pushing to the Hub needs a token with write access. Set the environment variable HF_TOKEN (create a token "
            "under Settings, Access Tokens, on the Hub), run `hf auth login`, or pass token=.",
            variable="HF_TOKEN",
        )
    if _NO_TOKEN.search(found):
        raise ConfigError(
            "The token has a character that no token has, such as a space, a line break or an accented letter. Copy it anew from the Hub "
            "(Settings, Access Tokens).",
            key="token",
        )
    return found


def check_token(hub: Hub) -> str:
    """The name of the user whose token it is, '' where the Hub does not say.

    Raises:
        HubFailed: the Hub refuses the token, or cannot be reached.
        ConfigError: the token may only read.
    """
    answer: dict[str, Any] = hub.ask(_whoami, hub)
    access = answer.get("auth") or {}
    if (access.get("accessToken") or {}).get("role") == "read":
        raise ConfigError(
            "The token may only read. Create one with write access on the Hub (Settings, Access Tokens), and set HF_TOKEN "
            "to it, log in with it (`hf auth login`), or pass it as token=.",
            key="token",
        )
    return str(answer.get("name") or "")


def _whoami(hub: Hub) -> dict[str, Any]:
    try:
        found: dict[str, Any] = asked(hub.api.whoami)
    except HubFailed as failed:
        # The Hub allows few of these questions, and a mirror may not know them. A bad token is then refused by the next request.
        if failed.fault.status in (404, 405, 429):
            return {}
        raise
    return found


def check_arguments(
    repo_id: str,
    *,
    config_name: str = "default",
    revision: str | None = None,
    **texts: str | None,
) -> None:
    """Raises ConfigError for arguments that cannot be meant."""
    given: dict[str, object] = {"repo_id": repo_id, "config_name": config_name, "revision": revision, **texts}
    for name, value in given.items():
        if not isinstance(value, str) and not (value is None and name not in ("repo_id", "config_name")):
            told = type(value).__name__ if name == "token" else f"{value!r} ({type(value).__name__})"
            what = 'a text, like "owner/name"' if name == "repo_id" else "a text"
            raise ConfigError(f"{name}: expected {what}, got {told}.", key=name)
    if not _REPO_ID.fullmatch(repo_id) or re.search(r"--|\.\.", repo_id):
        raise ConfigError(
            f'repo_id={repo_id!r} is not of the form "owner/name", where both parts are made of letters, digits, '
            "'-', '_' and '.', 96 characters at most. The owner is your user name or organization on the Hub."
        )
    _check_config_name(config_name)
    if (message := texts.get("commit_message")) and (not message.strip() or len(message.splitlines()) > 1):
        raise ConfigError(
            f"commit_message={message[:60]!r} is not one line of text. Write one, or leave it out.",
            key="commit_message",
        )
    if revision is not None:
        _check_revision(revision)


def _check_config_name(name: str) -> None:
    if not _CONFIG_NAME.fullmatch(name):
        raise ConfigError(
            f"config_name={name!r} is not made of letters, digits, '-', '_' and '.' (96 at most). "
            'Choose a name like "fr" or "easy".',
            key="config_name",
        )
    if name == "data":
        raise ConfigError(
            'config_name="data" is the folder of the files of the config "default". Choose another name.',
            key="config_name",
        )


def _check_revision(revision: str) -> None:
    if _COMMIT.fullmatch(revision):
        raise ConfigError(
            f"revision={revision!r} is a commit, and rows can only be added to a branch. Give the name of a branch.",
            key="revision",
        )
    if not _REVISION.fullmatch(revision) or re.search(r"\.\.|//", revision):
        raise ConfigError(
            f"revision={revision!r} cannot be the name of a branch. Use letters, digits, '-', '_', '.' and '/'.",
            key="revision",
        )
