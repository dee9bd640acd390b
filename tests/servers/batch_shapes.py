"""The batch services of `BatchServer` that have files and jobs: OpenAI's, Azure's, Mistral's, with the fields that they document."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, ClassVar

from aiohttp import web

from tests.servers.batch_server import BatchServer, Job, lines_of

__all__ = ["AzureShape", "MistralShape", "OpenAIShape"]


class OpenAIShape:
    """Files and batches of OpenAI, and of servers that copy it."""

    name = "openai"
    root = "/v1"
    endpoint = "/v1/chat/completions"

    def __init__(self, server: BatchServer) -> None:
        self.server = server

    def add_to(self, router: web.UrlDispatcher) -> None:
        self.add_files(router)
        router.add_post(f"{self.root}/batches", self.create)
        router.add_get(f"{self.root}/batches", self.list)
        router.add_get(f"{self.root}/batches/{{id}}", self.get)
        router.add_post(f"{self.root}/batches/{{id}}/cancel", self.cancel)

    def add_files(self, router: web.UrlDispatcher) -> None:
        router.add_post(f"{self.root}/files", self.upload)
        router.add_get(f"{self.root}/files/{{id}}", self.file)
        router.add_delete(f"{self.root}/files/{{id}}", self.delete)
        router.add_get(f"{self.root}/files/{{id}}/content", self.content)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        if (refused := self.server.refused(self.server.faults.refuse_upload)) is not None:
            return refused
        if self.server.faults.lose_upload:
            await self.server.received(request)
        form = await request.post()
        await asyncio.sleep(self.server.faults.upload_s)
        file = form["file"]
        assert isinstance(file, web.FileField)
        if form["purpose"] != "batch":
            return error(400, "invalid_purpose", "Invalid purpose.", param="purpose")
        file_id = self.server.keep(file.filename, file.file.read())
        return web.json_response(self.file_object(file_id))

    def file_object(self, file_id: str) -> dict[str, Any]:
        name, data = self.server.files[file_id]
        return {
            "object": "file",
            "id": file_id,
            "purpose": "batch",
            "filename": name,
            "bytes": len(data),
            "created_at": int(self.server.clock()),
            "expires_at": None,
            "status": "processed",
            "status_details": None,
        }

    async def file(self, request: web.Request) -> web.StreamResponse:
        file_id = request.match_info["id"]
        return web.json_response(self.file_object(file_id)) if file_id in self.server.files else missing("File")

    async def delete(self, request: web.Request) -> web.StreamResponse:
        file_id = request.match_info["id"]
        if self.server.files.pop(file_id, None) is None:
            return missing("File")
        return web.json_response({"id": file_id, "object": "file", "deleted": True})

    async def content(self, request: web.Request) -> web.StreamResponse:
        found = self.server.files.get(request.match_info["id"])
        return missing("File") if found is None else await self.server.download(request, found[1])

    async def create(self, request: web.Request) -> web.StreamResponse:
        if (refused := self.server.refused(self.server.faults.refuse_submit)) is not None:
            return refused
        asked = await request.json()
        if asked["input_file_id"] not in self.server.files:
            return missing("File")
        if asked["completion_window"] != "24h" or asked["endpoint"] != self.endpoint:
            return error(400, "invalid_request", "Invalid value.", param="endpoint")
        lines = list(lines_of(self.server.files[asked["input_file_id"]][1]))
        job = self.server.make(self.name, "batch_", [(line["custom_id"], line["body"]) for line in lines], asked)
        ids = [custom_id for custom_id, _ in job.requests]
        models = {body["model"] for _, body in job.requests}
        if any(line["method"] != "POST" or line["url"] != asked["endpoint"] for line in lines):
            job.state, job.error = "failed", ("mismatched_endpoint", "The URL is not the batch's endpoint.")
        elif len(set(ids)) != len(ids):
            job.state, job.error = "failed", ("duplicate_custom_id", "The custom_id occurs twice.")
        elif len(models) != 1:
            job.state, job.error = "failed", ("mismatched_model", "The model is not that of the first request.")
        return await self.server.made(request, self.job_object(job))

    async def get(self, request: web.Request) -> web.StreamResponse:
        job = self.server.jobs.get(request.match_info["id"])
        if job is None:
            return missing("Batch")
        self.look_at(job)
        return web.json_response(self.job_object(job))

    async def list(self, request: web.Request) -> web.StreamResponse:
        jobs = self.server.of_shape(self.name)
        after, limit = request.query.get("after"), int(request.query.get("limit", "20"))
        start = next((number + 1 for number, job in enumerate(jobs) if job.id == after), 0)
        page = [self.job_object(job) for job in jobs[start : start + limit]]
        listed = {"object": "list", "data": page, "has_more": start + limit < len(jobs)}
        return web.json_response(
            listed | {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
        )

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        job = self.server.jobs.get(request.match_info["id"])
        if job is None:
            return missing("Batch")
        if job.state not in {"running", "cancelling"}:
            return error(409, None, f"Cannot cancel a batch with status '{self.status_of(job)}'.")
        job.state = "cancelling"
        return web.json_response(self.job_object(job))

    def look_at(self, job: Job) -> None:
        if not self.server.poll(job, self.endpoint):
            return
        good, bad = [], []
        for custom_id, status, answer in job.outcomes:
            response = {"status_code": status, "request_id": self.server.next_id("req_"), "body": answer}
            (good if status == 200 else bad).append(self.line(custom_id, response, None))
        code = "batch_cancelled" if job.state == "cancelled" else "batch_expired"
        said = {"code": code, "message": "This request could not be executed before the completion window expired."}
        bad += [self.line(custom_id, None, said) for custom_id in job.unanswered]
        for name, lines in (("output", good), ("error", bad)):
            if lines:
                job.files[name] = self.server.keep(f"{job.id}_{name}.jsonl", self.server.results(lines))

    def line(self, custom_id: str, response: Any, error: Any) -> dict[str, Any]:
        return {"id": self.server.next_id("batch_req_"), "custom_id": custom_id, "response": response, "error": error}

    def status_of(self, job: Job) -> str:
        return {"ended": "completed", "running": "in_progress" if job.polls else "validating"}.get(job.state, job.state)

    def job_object(self, job: Job) -> dict[str, Any]:
        at, status = int(job.created_at), self.status_of(job)
        errors = None
        if job.error is not None:
            code, message = job.error
            errors = {"object": "list", "data": [{"code": code, "message": message, "param": None, "line": None}]}
        good = sum(status == 200 for _, status, _ in job.outcomes)
        known = status not in {"validating", "failed"}
        return {
            "id": job.id,
            "object": "batch",
            "endpoint": job.fields["endpoint"],
            "model": job.requests[0][1]["model"] if job.requests else None,
            "errors": errors,
            "input_file_id": job.fields["input_file_id"],
            "completion_window": "24h",
            "status": status,
            "output_file_id": job.files.get("output"),
            "error_file_id": job.files.get("error"),
            "created_at": at,
            "in_progress_at": at if known else None,
            "expires_at": at + 86_400,
            "finalizing_at": None,
            "completed_at": at if status == "completed" else None,
            "failed_at": at if status == "failed" else None,
            "expired_at": at if status == "expired" else None,
            "cancelling_at": at if status in {"cancelling", "cancelled"} else None,
            "cancelled_at": at if status == "cancelled" else None,
            "request_counts": {
                "total": len(job.requests) if known else 0,
                "completed": good,
                "failed": len(job.outcomes) - good,
            },
            "metadata": None if self.server.faults.no_metadata else job.fields.get("metadata"),
        }


class AzureShape(OpenAIShape):
    """Azure's: files have to be read first, times are texts, counts are null at first, and no metadata comes back."""

    name = "azure"
    endpoint = "/chat/completions"

    def add_to(self, router: web.UrlDispatcher) -> None:
        for self.root in ("/openai", "/openai/v1"):
            super().add_to(router)

    def file_object(self, file_id: str) -> dict[str, Any]:
        looks = self.server.looks[file_id]
        self.server.looks[file_id] += 1
        told = super().file_object(file_id)
        del told["status_details"]
        return told | {"status": "processed" if looks else "pending"}

    def job_object(self, job: Job) -> dict[str, Any]:
        told = super().job_object(job)
        at = datetime.fromtimestamp(job.created_at, UTC).isoformat().replace("+00:00", "1+00:00")
        told |= {"created_at": at, "expires_at": at, "metadata": None}
        if told["status"] == "validating":
            told |= {"status": "Validating", "request_counts": {"total": None, "completed": None, "failed": None}}
        return told


class MistralShape(OpenAIShape):
    """Mistral's jobs: of one model, with pages in place of cursors."""

    name = "mistral"
    root = "/mistral/v1"
    endpoint = "/v1/chat/completions"
    states: ClassVar = {
        "running": "RUNNING",
        "cancelling": "CANCELLATION_REQUESTED",
        "ended": "SUCCESS",
        "expired": "TIMEOUT_EXCEEDED",
        "cancelled": "CANCELLED",
        "failed": "FAILED",
    }

    def add_to(self, router: web.UrlDispatcher) -> None:
        self.add_files(router)
        router.add_post(f"{self.root}/batch/jobs", self.create)
        router.add_get(f"{self.root}/batch/jobs", self.list)
        router.add_get(f"{self.root}/batch/jobs/{{id}}", self.get)
        router.add_post(f"{self.root}/batch/jobs/{{id}}/cancel", self.cancel)

    def file_object(self, file_id: str) -> dict[str, Any]:
        told = super().file_object(file_id)
        kept = {name: told[name] for name in ("id", "object", "bytes", "created_at", "filename", "purpose")}
        return kept | {"sample_type": "batch_request", "source": "upload", "num_lines": None, "deleted": False}

    async def create(self, request: web.Request) -> web.StreamResponse:
        if (refused := self.server.refused(self.server.faults.refuse_submit)) is not None:
            return refused
        asked = await request.json()
        (file_id,) = asked["input_files"]
        if file_id not in self.server.files:
            return missing("File")
        if asked["endpoint"] != self.endpoint or not 1 <= asked["timeout_hours"] <= 168 or not asked["model"]:
            return web.json_response({"detail": [{"loc": ["body"], "msg": "Input should be valid."}]}, status=422)
        lines = list(lines_of(self.server.files[file_id][1]))
        requests = [(line["custom_id"], line["body"]) for line in lines]
        job = self.server.make(self.name, "job-", requests, asked)
        if any(line.keys() != {"custom_id", "body"} for line in lines):
            job.state, job.error = "failed", ("", "Invalid line.")
        return await self.server.made(request, self.job_object(job))

    async def list(self, request: web.Request) -> web.StreamResponse:
        jobs = self.server.of_shape(self.name)
        number, size = int(request.query["page"]), int(request.query["page_size"])
        page = [self.job_object(job) for job in jobs[number * size : (number + 1) * size]]
        return web.json_response({"data": page, "object": "list", "total": len(jobs)})

    def job_object(self, job: Job) -> dict[str, Any]:
        good = sum(status == 200 for _, status, _ in job.outcomes)
        bad = len(job.outcomes) - good
        return {
            "id": job.id,
            "object": "batch",
            "input_files": job.fields["input_files"],
            "metadata": job.fields["metadata"],
            "endpoint": job.fields["endpoint"],
            "model": job.fields["model"],
            "agent_id": None,
            "output_file": job.files.get("output"),
            "error_file": job.files.get("error"),
            "errors": [] if job.error is None else [{"message": job.error[1], "count": 1}],
            "status": "QUEUED" if job.state == "running" and not job.polls else self.states[job.state],
            "created_at": int(job.created_at),
            "total_requests": len(job.requests),
            "completed_requests": len(job.outcomes),
            "succeeded_requests": good,
            "failed_requests": bad,
            "started_at": None,
            "completed_at": None,
        }


def error(status: int, code: str | None, message: str, *, param: str | None = None) -> web.Response:
    said = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return web.json_response({"error": said}, status=status)


def missing(what: str) -> web.Response:
    return error(404, None, f"No such {what} object.", param="id")
