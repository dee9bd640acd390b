"""What every batch service promises, as one suite that each of them passes against a real server on loopback."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from datafast.errors import ErrorKind, OutputWriteError, ProviderError
from datafast.llms.base import ReplyMode, Request
from datafast.llms.batches.base import BatchBackend, BatchState, NoBatchService, ResultsGone, UnknownBatch
from datafast.llms.schema import ResponseSchema
from datafast.llms.transport.errors import from_transport
from datafast.llms.transport.faults import QuietTimeout
from datafast.types import Message
from tests.llms.batches.support import SERVICES, TAG, Client, texts
from tests.servers.batch_server import KEY, BatchServer, Outcome
from tests.servers.fault_server import Answer

WITHOUT_PARTS = {"gemini"}  # what was cancelled or has expired has no results
WITHOUT_TAGS = {"anthropic", "azure", "azure_dated"}
WITHOUT_REFUSALS = {"anthropic"}  # no batch is refused after it was taken
WITHOUT_CODES = {"mistral"}  # a refusal says why in words alone


class Entries(BaseModel):
    entries: list[str]


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer() as server:
        yield server


@pytest.fixture(params=sorted(SERVICES))
def client(request: pytest.FixtureRequest, server: BatchServer, tmp_path: Path) -> Client:
    return Client(request.param, server, tmp_path)


def test_a_batch_is_submitted_looked_at_and_collected(client: Client, server: BatchServer) -> None:
    server.faults.polls = 3
    server.outcome = lambda prompt: Outcome(text=f"To {prompt}.")
    made = client.submit("a", "b", "ü\u2028")
    assert made.state is BatchState.UNDER_WAY
    assert made.created_at == pytest.approx(time.time(), abs=60)
    assert client.status(made.id).state is BatchState.UNDER_WAY
    status = client.ended(made.id)
    assert (status.state, status.total, status.done, status.failed) == (BatchState.ENDED, 3, 3, 0)
    assert texts(client.replies(status)) == {f"{TAG}-0": "To a.", f"{TAG}-1": "To b.", f"{TAG}-2": "To ü\u2028."}
    assert server.bought == {"a": 1, "b": 1, "ü\u2028": 1}


def test_a_batch_whose_answer_was_lost_is_found(client: Client, server: BatchServer) -> None:
    client.submit("other", "batch", tag="O" * 24)
    server.faults.lose_submit = 1
    with pytest.raises(ProviderError) as caught:
        client.submit("a", "b")
    assert caught.value.kind is ErrorKind.CONNECTION
    assert caught.value.maybe_paid
    lost = list(server.jobs)[1]
    found = {batch.id: batch.tag for batch in client.find()}
    if client.name == "anthropic":
        assert lost in found  # and so may others be that are as long
    else:
        assert list(found) == [lost]
    assert (found[lost] == TAG) is (client.name not in WITHOUT_TAGS)
    assert not client.find(tag="N" * 24, since=time.time() + 3600)
    assert not client.find(tag="N" * 24, num_requests=3)


def test_a_batch_is_found_behind_many_others(client: Client, server: BatchServer) -> None:
    client.submit("a", "b")
    lost = next(iter(server.jobs.values()))
    theirs = {"metadata": {"datafast": "O" * 24}, "displayName": "theirs", "input_file_id": server.keep("theirs", b"")}
    fields = lost.fields | {name: value for name, value in theirs.items() if name in lost.fields}
    for number in range(120):
        server.jobs[f"other-{number}"] = replace(lost, id=f"other-{number}", fields=fields)
    found = [batch.id for batch in client.find()]
    assert lost.id in found
    assert len(found) == (121 if client.name == "anthropic" else 1)


def test_a_server_without_batches_is_told_as_such(client: Client, server: BatchServer) -> None:
    server.faults.no_service = True
    with pytest.raises(NoBatchService, match=r"has no batch service \(HTTP 404\)"):
        client.submit("a")


def test_too_many_requests_are_rate_limited(client: Client, server: BatchServer) -> None:
    server.faults.refuse_submit.append(
        Answer(status=429, headers={"Retry-After": "7"}, body={"error": {"message": "slow down", "code": None}})
    )
    with pytest.raises(ProviderError) as caught:
        client.submit("a")
    assert (caught.value.kind, caught.value.retry_after_s) == (ErrorKind.RATE_LIMITED, 7)
    assert not server.files  # it is uploaded again with the next try


def test_enqueued_tokens_are_a_rate_limit_also_where_the_job_is_refused_at_once(
    server: BatchServer, tmp_path: Path
) -> None:
    said = {"error": {"message": "Enqueued token limit reached.", "code": "token_limit_exceeded"}}
    server.faults.refuse_submit.append(Answer(status=400, body=said))
    with pytest.raises(ProviderError, match="Enqueued token limit") as caught:
        Client("azure", server, tmp_path).submit("a")
    assert caught.value.kind is ErrorKind.RATE_LIMITED


def test_a_deployment_that_is_not_for_batches_is_told_with_what_to_do(server: BatchServer, tmp_path: Path) -> None:
    for name, is_told in (("azure", True), ("azure_dated", False)):
        server.faults.fail.append(("model_mismatch", "The deployment is not a batch deployment."))
        client = Client(name, server, tmp_path)
        error = client.ended(client.submit("a").id).error
        assert ("name one that is with batch_deployment" in str(error)) is is_told


def test_errors_of_requests_are_those_of_single_ones(client: Client, server: BatchServer) -> None:
    code = "context_length_exceeded"
    said = {"error": {"message": f"too long {KEY}", "code": code, "details": [{"reason": code}]}}
    server.outcome = lambda prompt: Outcome(status=400, body=said) if prompt == "b" else Outcome()
    status = client.ended(client.submit("a", "b").id)
    assert (status.done, status.failed) == (2, 1)
    replies = {reply.custom_id[-1]: reply for reply in client.replies(status)}
    assert replies["0"].error is None
    error = replies["1"].error
    assert error is not None
    assert error.kind is ErrorKind.CONTEXT_LENGTH
    assert KEY not in str(error) + error.body


def test_what_was_answered_before_a_cancellation_is_collected(client: Client, server: BatchServer) -> None:
    server.faults.polls = 5
    made = client.submit("a", "b", "c", "d")
    assert client.cancel(made.id).state in {BatchState.CANCELLING, BatchState.ENDED}
    status = client.ended(made.id)
    assert status.state is BatchState.ENDED
    answered = [reply.custom_id for reply in client.replies(status) if reply.response is not None]
    assert answered == ([] if client.name in WITHOUT_PARTS else [f"{TAG}-0", f"{TAG}-1"])
    assert answered == list(server.bought_ids)
    assert all(reply.error is None for reply in client.replies(status))
    assert client.cancel(made.id).state is BatchState.ENDED


def test_what_was_answered_before_a_batch_expired_is_collected(client: Client, server: BatchServer) -> None:
    server.faults.expire = 1
    status = client.ended(client.submit("a", "b").id)
    replies = client.replies(status)
    answered = [reply.custom_id for reply in replies if reply.response is not None]
    assert answered == ([] if client.name in WITHOUT_PARTS else [f"{TAG}-0"])
    assert all(reply.error is None for reply in replies)


def test_what_was_not_answered_may_stand_in_no_result(client: Client, server: BatchServer) -> None:
    server.faults.expire, server.faults.unnamed = 1, True
    status = client.ended(client.submit("a", "b").id)
    named = [reply.custom_id for reply in client.replies(status)]
    assert named == ([] if client.name in WITHOUT_PARTS else [f"{TAG}-0"])


def test_a_batch_that_is_refused_says_why(client: Client, server: BatchServer) -> None:
    server.faults.fail.append(("token_limit_exceeded", f"Enqueued token limit reached. {KEY}"))
    status = client.ended(client.submit("a").id)
    if client.name in WITHOUT_REFUSALS:
        (reply,) = client.replies(status)
        assert reply.error is not None
        assert reply.error.kind is ErrorKind.RATE_LIMITED
        return
    assert status.state is BatchState.REFUSED
    assert status.error is not None
    assert status.error.kind is (ErrorKind.BAD_REQUEST if client.name in WITHOUT_CODES else ErrorKind.RATE_LIMITED)
    assert "Enqueued token limit reached." in str(status.error)
    assert KEY not in str(status.error) + status.error.body


def test_doubled_shuffled_and_unreadable_lines_are_passed_on(client: Client, server: BatchServer) -> None:
    server.faults.duplicates, server.faults.shuffled = 1, True
    server.faults.junk = [b'{"custom_id": "half", "key": "half', b"<html>", b""]
    replies = client.replies(client.ended(client.submit("a", "b", "c").id))
    assert len(replies) == 8
    assert sorted(texts(replies[2:])) == [f"{TAG}-0", f"{TAG}-1", f"{TAG}-2"]
    assert [reply.error.kind for reply in replies[:2] if reply.error] == [ErrorKind.NO_COMPLETION] * 2


def test_a_download_that_breaks_is_begun_again(client: Client, server: BatchServer) -> None:
    server.faults.cut_downloads.extend([10, 100])
    replies = client.replies(client.ended(client.submit("a", "b").id))
    assert sorted(texts(replies)) == [f"{TAG}-0", f"{TAG}-1"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_reply_that_is_too_large_is_the_error_of_its_request(name: str, server: BatchServer, tmp_path: Path) -> None:
    server.outcome = lambda prompt: Outcome(text="x" * (400_000 if prompt == "b" else 10))
    client = Client(name, server, tmp_path, max_reply_mb=0.1)
    replies = client.replies(client.ended(client.submit("a", "b", "c").id))
    assert len(replies) == 3
    (bad,) = [reply for reply in replies if reply.error is not None]
    assert bad.custom_id == f"{TAG}-1"
    assert "max_reply_mb=0.1" in str(bad.error)


def test_a_wrong_key_is_told_without_showing_it(client: Client, server: BatchServer) -> None:
    server.key = "another"
    with pytest.raises(ProviderError) as caught:
        client.submit("a")
    assert caught.value.kind is ErrorKind.AUTHENTICATION
    assert KEY not in str(caught.value) + caught.value.body


def test_a_batch_that_is_not_known_is_told_as_such(client: Client, server: BatchServer) -> None:
    for asking_for in (client.status, client.cancel):
        with pytest.raises(UnknownBatch, match=r"knows no batch .*gone \(HTTP 404\)\. Use the key"):
            asking_for("batches/gone" if client.name == "gemini" else "gone")


def test_results_that_are_no_longer_kept_are_told_as_such(client: Client, server: BatchServer) -> None:
    status = client.ended(client.submit("a", "b").id)
    with pytest.raises(ResultsGone, match="does not keep the results"):
        client.replies(replace(status, results=()))
    server.files.clear()
    with pytest.raises(ResultsGone, match="does not keep the results"):
        client.replies(status)


def test_what_is_still_kept_of_results_is_read(server: BatchServer, tmp_path: Path) -> None:
    server.outcome = lambda prompt: Outcome(status=400) if prompt == "b" else Outcome()
    client = Client("openai", server, tmp_path)
    status = client.ended(client.submit("a", "b").id)
    del server.files[status.results[0]]
    came = []

    async def collect(backend: BatchBackend) -> None:
        async for reply in backend.replies(status, scratch=client.scratch):
            came.append(reply.custom_id)

    with pytest.raises(ResultsGone):
        client.run(collect)
    assert came == [f"{TAG}-1"]


def test_a_server_without_metadata_is_asked_for_the_name_of_the_file(server: BatchServer, tmp_path: Path) -> None:
    server.faults.no_metadata = True
    client = Client("compatible", server, tmp_path)
    theirs, ours = client.submit("a", "b", tag="O" * 24), client.submit("a", "b")
    assert [batch.id for batch in client.find()] == [ours.id]
    for file_id in server.jobs[theirs.id].fields["input_file_id"], server.jobs[ours.id].fields["input_file_id"]:
        del server.files[file_id]
    assert {batch.id for batch in client.find()} == {theirs.id, ours.id}  # either may be it
    assert client.find(num_requests=3) != []  # none of them says yet how long it is


def test_what_is_kept_of_a_collected_batch_is_removed(client: Client, server: BatchServer) -> None:
    status = client.ended(client.submit("a", "b").id)
    client.run(lambda backend: backend.discard(status))
    assert not server.files
    client.run(lambda backend: backend.discard(status))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_lines_are_the_bodies_of_single_requests_and_never_streams(
    name: str, server: BatchServer, tmp_path: Path
) -> None:
    schema = ResponseSchema.of(Entries)
    messages = [Message(role="system", content="Be brief."), Message(role="user", content="a")]
    options = {"temperature": 0.5, "max_completion_tokens": 99, "extra": {"seed": 7}}
    for mode in ReplyMode:
        asked = Request(messages=messages, schema=schema, mode=mode)
        Client(name, server, tmp_path, **options).complete(asked)
        line = Client(name, server, tmp_path, stream=True, **options).line(asked)
        (body,) = [part for part in line.values() if isinstance(part, dict)]
        if name == "azure_dated":
            assert body.pop("model") == "tiny-batch"
            body["model"] = "tiny"
        assert body == server.singles[-1]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_an_upload_that_breaks_is_an_error_or_goes_on(name: str, server: BatchServer, tmp_path: Path) -> None:
    client = Client(name, server, tmp_path)
    server.faults.lose_upload = 1
    if name != "gemini":
        with pytest.raises(ProviderError) as caught:
            client.submit("a", "b")
        assert caught.value.kind is ErrorKind.CONNECTION
        assert not server.jobs
        return
    client.submit("a", "b")
    assert [asked[0] for asked in server.requests if asked[1] == "/upload/v1beta/files"] == ["POST"] * 4
    assert len(next(iter(server.jobs.values())).requests) == 2


def test_results_that_cannot_be_saved_are_told_as_such(client: Client, server: BatchServer, tmp_path: Path) -> None:
    status = client.ended(client.submit("a").id)
    client.scratch = tmp_path / "no folder" / "scratch"
    with pytest.raises(OutputWriteError, match="They stay at the provider"):
        client.replies(status)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="There is no full disk to write to.")
def test_a_full_disk_is_told_as_such(client: Client, server: BatchServer) -> None:
    status = client.ended(client.submit("a").id)
    client.scratch = Path("/dev/full")
    with pytest.raises(OutputWriteError, match="No space left"):
        client.replies(status)


def test_requests_go_through_the_proxy_of_the_environment(
    client: Client, server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    away = Client(client.name, server, tmp_path, base="http://nowhere.invalid", extra_headers={"X-Team": "blue"})
    assert list(texts(away.replies(away.ended(away.submit("a").id)))) == [f"{TAG}-0"]
    assert {headers.get("X-Team") for headers in server.headers} == {"blue"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_certificates_are_those_of_ssl_ca(
    name: str, certificate: tuple[Path, Path], server: BatchServer, tmp_path: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with BatchServer(ssl_context=context) as secure:
        with pytest.raises(ProviderError, match="pass ssl_ca="):
            Client(name, secure, tmp_path).submit("a")
        client = Client(name, secure, tmp_path, ssl_ca=certificate[0])
        assert list(texts(client.replies(client.ended(client.submit("a").id)))) == [f"{TAG}-0"]


def test_a_download_of_which_nothing_comes_is_begun_again(server: BatchServer, tmp_path: Path) -> None:
    client = Client("openai", server, tmp_path, timeout=1.5)
    status = client.ended(client.submit("a").id)
    server.faults.stalls = 1
    assert list(texts(client.replies(status))) == [f"{TAG}-0"]
    told = from_transport(client.provider.origin, QuietTimeout("nothing moves"))
    assert told.kind is ErrorKind.TIMEOUT
    assert "nothing went or came for timeout=1.5 s. Raise" in str(told)


def test_keys_are_not_sent_elsewhere(server: BatchServer, tmp_path: Path) -> None:
    with BatchServer() as other:
        other.key = ""
        client = Client("gemini", server, tmp_path)
        server.upload_url = other.url
        with pytest.raises(ProviderError):
            client.submit("a")
        assert other.headers
        assert KEY not in str(other.headers)
