"""The batch services of `BatchServer` that are like no other: Anthropic's and Google's, with the fields that they document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.servers.batch_server import BatchServer, Job, lines_of
from tests.servers.vendors import anthropic_error, gemini_error, refusal

__all__ = ["AnthropicShape", "GeminiShape"]

_MESSAGES, _GENERATE = "/v1/messages", "/v1beta/models/tiny:generateContent"
_KINDS = {400: "invalid_request_error", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


class AnthropicShape:
    """Message batches: requests come in one body, results as a file; nothing of the client's is kept."""

    def __init__(self, server: BatchServer) -> None:
        self.server = server

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/messages/batches", self.create)
        router.add_get("/v1/messages/batches", self.list)
        router.add_get("/v1/messages/batches/{id}", self.get)
        router.add_delete("/v1/messages/batches/{id}", self.delete)
        router.add_post("/v1/messages/batches/{id}/cancel", self.cancel)
        router.add_get("/v1/messages/batches/{id}/results", self.results)

    async def create(self, request: web.Request) -> web.StreamResponse:
        faults = self.server.faults
        if (refused := self.server.refused(faults.refuse_submit or faults.refuse_upload)) is not None:
            return refused
        if faults.lose_upload:
            await self.server.received(request)
        asked = (await request.json())["requests"]
        requests = [(entry["custom_id"], entry["params"]) for entry in asked]
        if len({custom_id for custom_id, _ in requests}) != len(requests) or any(len(one) != 2 for one in asked):
            return said(400, "custom_id must be unique within a batch.")
        job = self.server.make("anthropic", "msgbatch_", requests, {})
        job.state = "running"  # no job is refused as a whole: its requests are
        return await self.server.made(request, self.job_object(job))

    async def get(self, request: web.Request) -> web.StreamResponse:
        job = self.server.jobs.get(request.match_info["id"])
        if job is None:
            return said(404, "Not found")
        if self.server.poll(job, _MESSAGES, judge=self.judge):
            lines = [{"custom_id": custom_id, "result": self.result(job, *told)} for custom_id, *told in job.outcomes]
            what = {"type": "canceled" if job.state == "cancelled" else "expired"}
            lines += [{"custom_id": custom_id, "result": what} for custom_id in job.unanswered]
            job.files["results"] = self.server.keep(f"{job.id}.jsonl", self.server.results(lines))
        return web.json_response(self.job_object(job))

    @staticmethod
    def judge(body: dict[str, Any]) -> Any:
        return refusal(_MESSAGES, {"anthropic-version": "2023-06-01"}, body)

    def result(self, job: Job, status: int, answer: dict[str, Any]) -> dict[str, Any]:
        if job.error is not None:
            kind = "rate_limit_error" if "limit" in job.error[0] else "invalid_request_error"
            return {"type": "errored", "error": anthropic_error(kind, job.error[1])}
        if status == 200:
            return {"type": "succeeded", "message": answer}
        kind = answer["error"].get("type") or _KINDS.get(status, "api_error")
        return {"type": "errored", "error": {"request_id": None, **answer, "error": {**answer["error"], "type": kind}}}

    async def list(self, request: web.Request) -> web.StreamResponse:
        jobs = self.server.of_shape("anthropic")
        after, limit = request.query.get("after_id"), int(request.query.get("limit", "20"))
        start = next((number + 1 for number, job in enumerate(jobs) if job.id == after), 0)
        page = [self.job_object(job) for job in jobs[start : start + limit]]
        ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
        return web.json_response({"data": page, "has_more": start + limit < len(jobs), **ends})

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        job = self.server.jobs.get(request.match_info["id"])
        if job is None:
            return said(404, "Not found")
        if job.state not in {"running", "cancelling"}:
            return said(400, "Batch has already ended.")
        job.state = "cancelling"
        return web.json_response(self.job_object(job))

    async def results(self, request: web.Request) -> web.StreamResponse:
        job = self.server.jobs.get(request.match_info["id"])
        if job is None or job.files.get("results") not in self.server.files:
            return said(404, "Not found")
        return await self.server.download(request, self.server.files[job.files["results"]][1])

    async def delete(self, request: web.Request) -> web.StreamResponse:
        job = self.server.jobs.pop(request.match_info["id"], None)
        if job is None:
            return said(404, "Not found")
        self.server.files.pop(job.files["results"], None)
        return web.json_response({"id": job.id, "type": "message_batch_deleted"})

    def job_object(self, job: Job) -> dict[str, Any]:
        is_over = job.state not in {"running", "cancelling"}
        good = sum(status == 200 and job.error is None for _, status, _ in job.outcomes)
        states = {"running": "in_progress", "cancelling": "canceling"}
        return {
            "id": job.id,
            "type": "message_batch",
            "processing_status": states.get(job.state, "ended"),
            "request_counts": {
                "processing": 0 if is_over else len(job.requests),
                "succeeded": good,
                "errored": len(job.outcomes) - good,
                "canceled": len(job.unanswered) if job.state == "cancelled" else 0,
                "expired": 0 if job.state == "cancelled" else len(job.unanswered),
            },
            "ended_at": moment(job.created_at) if is_over else None,
            "created_at": moment(job.created_at),
            "expires_at": moment(job.created_at + 86_400),
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"{self.server.url}/v1/messages/batches/{job.id}/results" if is_over else None,
        }


class GeminiShape:
    """Google's: files by the resumable protocol, jobs as operations. What expires or is cancelled has no results."""

    def __init__(self, server: BatchServer) -> None:
        self.server = server
        self.uploads: dict[str, tuple[str, int, bytearray]] = {}

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post("/upload/v1beta/files", self.upload)
        router.add_get("/v1beta/files/{id}", self.file)
        router.add_delete("/v1beta/files/{id}", self.delete_file)
        router.add_get("/download/v1beta/files/{id}:download", self.content)
        router.add_post("/v1beta/models/{model}:batchGenerateContent", self.create)
        router.add_get("/v1beta/batches", self.list)
        router.add_post("/v1beta/batches/{id}:cancel", self.cancel)
        router.add_get("/v1beta/batches/{id}", self.get)
        router.add_delete("/v1beta/batches/{id}", self.delete)

    # -- files

    async def upload(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        command = headers["X-Goog-Upload-Command"]
        if command == "start":
            if (refused := self.server.refused(self.server.faults.refuse_upload)) is not None:
                return refused
            return await self.begin(request)
        name, size, data = self.uploads[request.query["upload_id"]]
        if command == "query":
            return web.Response(headers=self.told(len(data)))
        if int(headers["X-Goog-Upload-Offset"]) != len(data):
            return google(400, "INVALID_ARGUMENT", "The offset is not what was received.")
        data += await self.server.received(request)
        if len(data) < size:
            return web.Response(status=503)
        file_id = self.server.keep(name, bytes(data), prefix="files/")
        return web.json_response({"file": self.file_object(file_id)}, headers={"X-Goog-Upload-Status": "final"})

    async def begin(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["X-Goog-Upload-Protocol"] == "resumable"
        name = (await request.json())["file"]["displayName"]
        size = int(request.headers["X-Goog-Upload-Header-Content-Length"])
        upload_id = self.server.next_id("upload-")
        self.uploads[upload_id] = (name, size, bytearray())
        url = f"{self.server.upload_url or f'{request.scheme}://{request.host}'}/upload/v1beta/files?upload_id={upload_id}&upload_protocol=resumable"
        return web.Response(headers={"X-Goog-Upload-URL": url, **self.told(0)})

    @staticmethod
    def told(received: int) -> dict[str, str]:
        return {"X-Goog-Upload-Status": "active", "X-Goog-Upload-Size-Received": str(received)}

    def file_object(self, file_id: str) -> dict[str, Any]:
        name, data = self.server.files[file_id]
        at = moment(self.server.clock())
        return {
            "name": file_id,
            "displayName": name,
            "mimeType": "application/jsonl",
            "sizeBytes": str(len(data)),
            "createTime": at,
            "updateTime": at,
            "expirationTime": moment(self.server.clock() + 172_800),
            "sha256Hash": "",
            "uri": f"{self.server.url}/v1beta/{file_id}",
            "state": "ACTIVE",
            "source": "UPLOADED",
        }

    async def file(self, request: web.Request) -> web.StreamResponse:
        file_id = f"files/{request.match_info['id']}"
        return web.json_response(self.file_object(file_id)) if file_id in self.server.files else gone()

    async def delete_file(self, request: web.Request) -> web.StreamResponse:
        found = self.server.files.pop(f"files/{request.match_info['id']}", None)
        return gone() if found is None else web.json_response({})

    async def content(self, request: web.Request) -> web.StreamResponse:
        found = self.server.files.get(f"files/{request.match_info['id']}")
        if found is None or request.query.get("alt") != "media":
            return gone()
        return await self.server.download(request, found[1])

    # -- jobs

    async def create(self, request: web.Request) -> web.StreamResponse:
        if (refused := self.server.refused(self.server.faults.refuse_submit)) is not None:
            return refused
        batch = (await request.json())["batch"]
        file_id = batch["inputConfig"]["fileName"]
        if file_id not in self.server.files:
            return gone()
        lines = list(lines_of(self.server.files[file_id][1]))
        requests = [(line["key"], line["request"]) for line in lines]
        job = self.server.make("gemini", "batches/", requests, {**batch, "model": request.match_info["model"]})
        return await self.server.made(request, self.job_object(job))

    def job_of(self, request: web.Request) -> Job | None:
        return self.server.jobs.get(f"batches/{request.match_info['id']}")

    async def get(self, request: web.Request) -> web.StreamResponse:
        job = self.job_of(request)
        if job is None:
            return gone()
        if self.server.poll(job, _GENERATE, judge=lambda body: refusal(_GENERATE, {}, body), keeps_parts=False):
            lines: list[dict[str, Any]] = [
                {"key": key, "response": answer} if status == 200 else {"key": key, "error": self.error(status, answer)}
                for key, status, answer in job.outcomes
            ]
            lines += [
                {"key": key, "error": {"code": 1, "message": "The operation was cancelled."}} for key in job.unanswered
            ]
            if job.state == "ended":
                job.files["output"] = self.server.keep("output", self.server.results(lines), prefix="files/batch-")
        return web.json_response(self.job_object(job))

    @staticmethod
    def error(status: int, answer: dict[str, Any]) -> dict[str, Any]:
        codes = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14}
        return {**answer["error"], "code": codes.get(status, 2)}

    async def list(self, request: web.Request) -> web.StreamResponse:
        jobs, size = self.server.of_shape("gemini"), int(request.query.get("pageSize", "10"))
        start = int(request.query.get("pageToken", "0"))
        listed: dict[str, Any] = {"operations": [self.job_object(job) for job in jobs[start : start + size]]}
        if start + size < len(jobs):
            listed["nextPageToken"] = str(start + size)
        return web.json_response(listed)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        job = self.job_of(request)
        if job is None:
            return gone()
        if job.state not in {"running", "cancelling"}:
            return google(400, "FAILED_PRECONDITION", "The batch has ended.")
        job.state = "cancelling"
        return web.json_response({})

    async def delete(self, request: web.Request) -> web.StreamResponse:
        found = self.server.jobs.pop(f"batches/{request.match_info['id']}", None)
        return gone() if found is None else web.json_response({})

    def job_object(self, job: Job) -> dict[str, Any]:
        at, is_over = moment(job.created_at), job.state not in {"running", "cancelling"}
        states = {"running": "RUNNING" if job.polls else "PENDING", "cancelling": "RUNNING", "ended": "SUCCEEDED"}
        good = sum(status == 200 for _, status, _ in job.outcomes)
        stats = {"requestCount": str(len(job.requests))}
        stats |= {"successfulRequestCount": str(good)} if good else {}
        stats |= {"failedRequestCount": str(len(job.outcomes) - good)} if len(job.outcomes) > good else {}
        kind = "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch"
        told: dict[str, Any] = {
            "name": job.id,
            "metadata": {
                "@type": kind,
                "model": f"models/{job.fields['model']}",
                "displayName": job.fields["displayName"],
                "inputConfig": job.fields["inputConfig"],
                "createTime": at,
                "updateTime": at,
                "batchStats": stats,
                "state": f"BATCH_STATE_{states.get(job.state, job.state.upper())}",
                "name": job.id,
            },
        }
        if is_over:
            told["done"] = True
            told["metadata"]["endTime"] = at
        if "output" in job.files:
            told["metadata"]["output"] = {"responsesFile": job.files["output"]}
            told["response"] = {"@type": f"{kind}Output", "responsesFile": job.files["output"]}
        if job.error is not None:
            told["error"] = {"code": 8 if "limit" in job.error[0] else 3, "message": job.error[1]}
        return told


def said(status: int, message: str) -> web.Response:
    kind = {404: "not_found_error"}.get(status, "invalid_request_error")
    return web.json_response(anthropic_error(kind, message), status=status)


def google(code: int, status: str, message: str) -> web.Response:
    return web.json_response(gemini_error(code, status, message=message), status=code)


def gone() -> web.Response:
    return google(404, "NOT_FOUND", "Requested entity was not found.")
