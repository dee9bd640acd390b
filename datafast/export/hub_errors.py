"""What went wrong with a push -> what the user is told, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from datafast.errors import PublishError
from datafast.export.hub_client import HubFailed, chain, told
from datafast.llms.transport.redaction import redact

__all__ = ["explaining"]

_AGAIN = "Nothing on disk was changed. The same call can be made again."


@contextmanager
def explaining(repo_id: str, revision: str | None, address: str, secret: str) -> Iterator[None]:
    """Failures inside become PublishErrors, in which the token is not shown.

    Args:
        revision: the branch that was named.
        address: of the Hub.
        secret: the token.
    """
    try:
        yield
    except HubFailed as failed:
        # Not "from failed": the Hub's answer may repeat the token, and a traceback would show it.
        raise PublishError(_explained(failed, repo_id, revision, address, secret)) from None


def _explained(failed: HubFailed, repo_id: str, revision: str | None, address: str, secret: str) -> str:
    fault, owner = failed.fault, repo_id.partition("/")[0]
    match fault.status:
        case 401:
            what = "The token was refused. Check HF_TOKEN: it may have expired or been revoked."
        case 403:
            what = f"The token may not write there. Use one with write access to the datasets of {owner!r}."
        case 404:
            branch = f" and that there is a branch {revision!r}" if revision else ""
            what = (
                f"It was not found. Check that {owner!r} exists on the Hub, that the token can see {repo_id!r}{branch}."
            )
        case 409 | 412:
            what = (
                "Others kept committing to it at the same time: push again when they are done. Or the token may only open pull "
                "requests: pass create_pr=True, or use one with write access."
            )
        case 429:
            what = "The Hub limits how often you may call it. Push again later."
        case int(status) if status >= 500:
            what = "The Hub had an error of its own. Push again later."
        case None if fault.passes:
            what = f"{address} could not be reached. Check the network, proxy and HF_ENDPOINT."
        case _:
            what = "The Hub or its client refused the push, for the reason below."
    answer = f"HTTP {fault.status}" if fault.status else "no answer"
    details = dict.fromkeys(told(link) for link in (failed.error, chain(failed.error)[-1]))
    detail = redact("\n".join(details), [secret])
    return f"The push to {repo_id} failed ({answer}). {what} {_AGAIN}\n{detail}"
