"""The batch services of `BatchServer`, one class a wire format, each with the fields that its vendor documents."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.servers.batch_server import BatchServer, Job, lines_of

__all__ = ["SHAPES"]


class OpenAIShape:
    """Files and batches of OpenAI, and of servers that copy it. Lines say which path each request goes to."""

    def __init__(self, server: BatchServer) -> None:
        self.server = server

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/files", self.upload)
        router.add_get("/v1/files/{id}", self.file)
        router.add_delete("/v1/files/{id}", self.delete)
        router.add_get("/v1/files/{id}/content", self.content)
        router.add_post("/v1/batches", self.create)
        router.add_get("/v1/batches", self.list)
        router.add_get("/v1/batches/{id}", self.get)
        router.add_post("/v1/batches/{id}/cancel", self.cancel)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        if (refused := self.server.refused(self.server.faults.refuse_upload)) is not None:
            return refused
        form = await request.post()
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
        if asked["completion_window"] != "24h" or asked["endpoint"] != "/v1/chat/completions":
            return error(400, "invalid_request", "Invalid value.", param="endpoint")
        lines = list(lines_of(self.server.files[asked["input_file_id"]][1]))
        job = self.server.make("openai", "batch_", [(line["custom_id"], line["body"]) for line in lines], asked)
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
        jobs = [job for job in reversed(self.server.jobs.values()) if job.shape == "openai"]
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
        was_over = job.state not in {"running", "cancelling"}
        self.server.poll(job, lambda body: job.fields["endpoint"])
        if was_over or job.state in {"running", "cancelling"}:
            return
        good, bad = [], []
        for custom_id, outcome, answer in job.outcomes:
            response = {"status_code": outcome.status, "request_id": self.server.next_id("req_"), "body": answer}
            line = {
                "id": self.server.next_id("batch_req_"),
                "custom_id": custom_id,
                "response": response,
                "error": None,
            }
            (good if outcome.status == 200 else bad).append(line)
        code = "batch_cancelled" if job.state == "cancelled" else "batch_expired"
        for custom_id in job.unanswered:
            said = {"code": code, "message": "This request could not be executed before the completion window expired."}
            bad.append(
                {"id": self.server.next_id("batch_req_"), "custom_id": custom_id, "response": None, "error": said}
            )
        for name, lines in (("output", good), ("error", bad)):
            if lines:
                job.files[name] = self.server.keep(f"{job.id}_{name}.jsonl", self.server.results(lines))

    def status_of(self, job: Job) -> str:
        return {"ended": "completed", "running": "in_progress" if job.polls else "validating"}.get(job.state, job.state)

    def job_object(self, job: Job) -> dict[str, Any]:
        at, status = int(job.created_at), self.status_of(job)
        errors = None
        if job.error is not None:
            code, message = job.error
            errors = {"object": "list", "data": [{"code": code, "message": message, "param": None, "line": None}]}
        good = sum(outcome.status == 200 for _, outcome, _ in job.outcomes)
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


def error(status: int, code: str | None, message: str, *, param: str | None = None) -> web.Response:
    said = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return web.json_response({"error": said}, status=status)


def missing(what: str) -> web.Response:
    return error(404, None, f"No such {what} object.", param="id")


SHAPES = (OpenAIShape,)
