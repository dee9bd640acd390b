"""A model that transformers has loaded, and the thread that runs it.

Guarantee: requests that wait at the same time are answered as one batch, as many as the first one's `batch_size` allows.
Each has its own token limit and schema; only requests with equal sampling parameters share a batch. A prompt is never
cut: one that does not fit into the context is refused. If there is too little memory, batches are halved from then on. A
reply that nobody waits for is not finished.
Cost: a batch takes about as long as its longest reply; a request that comes during a batch waits for its end.
Limits: one device; decoder-only models (no encoder-decoder).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import warn_user
from datafast.errors import ErrorKind
from datafast.llms.local.grammar import Grammars, Unsupported
from datafast.llms.local.transformers_batch import Batch, Generated, Job, Row
from datafast.llms.local.transformers_prompt import NoPrompt, prompt_tokens
from datafast.types import Usage

__all__ = ["LoadedModel"]

_GATHER_S = 0.01  # after the first request, because others of the same moment follow
_JOIN_S = 5.0
_USUAL_TOKENS = 1024  # of a reply, if the user set no limit
_UNBOUNDED = 1 << 40


class LoadedModel:
    """A tokenizer and a model on a device, with the thread that runs them."""

    def __init__(self, tokenizer: Any, model: Any, *, device: str) -> None:
        self._tokenizer = tokenizer
        self._model = model
        self._device = device
        self._context = _context_tokens(model, tokenizer)
        self._ends = _end_tokens(model, tokenizer)
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(self._ends, default=0)
        num_tokens = max(len(tokenizer), model.get_output_embeddings().weight.shape[0])
        self._grammars = Grammars(tokenizer, num_tokens=num_tokens, ends=self._ends)
        # By default transformers would keep only the 50 likeliest tokens.
        self._drawing: dict[str, Any] = {} if model.generation_config.top_k else {"top_k": 0}
        self._most_rows = _UNBOUNDED
        self._waiting: deque[Job] = deque()
        self._news = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="datafast-model", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queues a request, whose future gets the reply."""
        with self._news:
            if not self._closing:
                self._waiting.append(job)
                self._news.notify()
                return
        job.fail(ErrorKind.CONNECTION, "the model was released.")

    def close(self) -> None:
        """Ends the thread after the current token, and fails waiting requests."""
        with self._news:
            self._closing = True
            left = list(self._waiting)
            self._waiting.clear()
            self._news.notify()
        for job in left:
            job.fail(ErrorKind.CONNECTION, "the model was released.")
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)
        self._model = self._tokenizer = None

    # -- the model's thread

    @foreign_warnings_ignored()
    def _work(self) -> None:
        while True:
            jobs = self._next_batch()
            if not jobs:
                return
            try:
                self._answer(jobs)
            except Exception as error:  # noqa: BLE001 - told to those who wait; the thread must go on for others
                for job in jobs:
                    job.fail(ErrorKind.BAD_REQUEST, f"transformers failed: {type(error).__name__}: {error}.")

    def _next_batch(self) -> list[Job]:
        """Waits for requests and takes those that can share a batch with the first. An empty list means the end."""
        while True:
            waiting, size = self._wait_for_jobs()
            if not waiting:
                return []
            for job in waiting:
                self._make_ready(job)
            with self._news:
                chosen = self._together([job for job in waiting if not job.future.done()], size)
                gone = {id(job) for job in chosen} | {id(job) for job in waiting if job.future.done()}
                self._waiting = deque(job for job in self._waiting if id(job) not in gone)
            if chosen:
                return chosen

    def _wait_for_jobs(self) -> tuple[list[Job], int]:
        """All waiting requests, and how many of them a batch may have."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                return [], 0
            size = min(self._waiting[0].batch_size, self._most_rows)
            self._news.wait_for(lambda: len(self._waiting) >= size or self._closing, timeout=_GATHER_S)
            return list(self._waiting), size

    def _together(self, jobs: Sequence[Job], size: int) -> list[Job]:
        """The first job, and as many others as may share a batch with it: equal parameters, and all fit into the context."""
        chosen: list[Job] = []
        longest = most = 0
        for job in jobs:
            if len(chosen) == size:
                break
            if chosen and job.kind != chosen[0].kind:
                continue
            # A shorter prompt is padded at its beginning, and a finished reply at its end.
            as_long, as_many = max(longest, len(job.prompt)), max(most, job.most)
            if chosen and as_long + as_many > self._context:
                continue
            chosen.append(job)
            longest, most = as_long, as_many
        return chosen

    def _make_ready(self, job: Job) -> None:
        """Sets a job's prompt tokens, limit and matcher. A job that cannot be answered fails."""
        if job.most or job.future.done():
            return
        try:
            job.prompt = prompt_tokens(self._tokenizer, job.messages, job.template)
            job.matcher = self._grammars.matcher(job.grammar) if job.grammar is not None else None
        except Unsupported as error:
            job.fail(ErrorKind.BAD_REQUEST, f"the schema is not supported: {error}", code="unsupported_schema")
        except NoPrompt as error:
            job.fail(ErrorKind.BAD_REQUEST, str(error), code="chat_template")
        except Exception as error:  # noqa: BLE001 - told to the one who waits; the thread must go on for others
            job.fail(ErrorKind.BAD_REQUEST, f"the prompt cannot be made: {type(error).__name__}: {error}.")
        room = self._context - len(job.prompt)
        if room < 1:
            job.fail(
                ErrorKind.CONTEXT_LENGTH,
                f"the prompt has {len(job.prompt):,} tokens and the model's context {self._context:,}. Shorten it.",
                code="context_length_exceeded",
            )
        usual = min(_USUAL_TOKENS, self._context // 2)
        job.most = min(room, job.max_tokens or usual)

    def _answer(self, jobs: list[Job]) -> None:
        jobs = [job for job in jobs if not job.future.done()]
        if not jobs:
            return
        for job in jobs:
            job.begin()
        batch = Batch(jobs, ends=self._ends, closing=lambda: self._closing)
        if self._generate(batch):
            for row in batch.rows:
                self._deliver(row)
            return
        # The memory of the failed try is free by now, because its frames are gone.
        self._free_memory()
        if len(jobs) == 1:
            jobs[0].fail(
                ErrorKind.BAD_REQUEST,
                f"there is too little memory on {self._device} even for this request alone. Take a smaller model, a smaller dtype, "
                "or set max_completion_tokens.",
                status=413,  # too large in any reply mode
                code="out_of_memory",
            )
            return
        half = len(jobs) // 2
        if half < self._most_rows:
            self._most_rows = half
            warn_user(
                f"{jobs[0].label}: There is too little memory for {len(jobs)} requests at once. From now on there are {half}."
            )
        for part in (jobs[:half], jobs[half:]):
            for job in part:  # their matchers have to begin again
                job.matcher = self._grammars.matcher(job.grammar) if job.grammar is not None else None
            self._answer(part)

    def _generate(self, batch: Batch) -> bool:
        """Lets the model write the replies. Returns False if there was too little memory."""
        from transformers import LogitsProcessorList, StoppingCriteriaList

        jobs = [row.job for row in batch.rows]
        longest = max(len(job.prompt) for job in jobs)
        tokens = [[self._pad] * (longest - len(job.prompt)) + job.prompt for job in jobs]
        mask = [[0] * (longest - len(job.prompt)) + [1] * len(job.prompt) for job in jobs]
        arguments = dict(jobs[0].arguments)
        if arguments.get("do_sample"):
            arguments = self._drawing | arguments
        try:
            with torch.inference_mode():
                self._model.generate(
                    input_ids=torch.tensor(tokens, device=self._device),
                    attention_mask=torch.tensor(mask, device=self._device),
                    max_new_tokens=max(job.most for job in jobs),
                    pad_token_id=self._pad,
                    logits_processor=LogitsProcessorList([_Choose(batch)]),
                    stopping_criteria=StoppingCriteriaList([_End(batch)]),
                    **arguments,
                )
        except (RuntimeError, MemoryError) as error:
            if not _is_memory_short(error):
                raise
            return False
        return True

    def _deliver(self, row: Row) -> None:
        job = row.job
        if row.ended == "late":
            job.fail(
                ErrorKind.TIMEOUT,
                f"no whole reply within timeout={job.timeout_s:g} s. Raise the provider's timeout= if it needs longer.",
            )
        elif row.ended == "closed":
            job.fail(ErrorKind.CONNECTION, "the model was released.")
        elif row.ended in {"stop", "length"}:
            text = self._tokenizer.decode(row.tokens, skip_special_tokens=True)
            job.succeed(Generated(text, Usage(len(job.prompt), len(row.tokens)), row.ended))

    def _free_memory(self) -> None:
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()
        elif self._device.startswith("mps"):
            torch.mps.empty_cache()


class _Choose:
    """Called by `generate` before each token. It counts the parameters, so there must be exactly these two."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        return self._batch.choose(input_ids, scores)


class _End:
    """Called by `generate` after each token."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        return self._batch.ends(input_ids, scores)


def _context_tokens(model: Any, tokenizer: Any) -> int:
    config = model.config.get_text_config()
    told = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "max_seq_len")]
    told.append(tokenizer.model_max_length)  # a huge number if the tokenizer does not know
    return min((number for number in told if isinstance(number, int) and 0 < number < _UNBOUNDED), default=_UNBOUNDED)


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    told = model.generation_config.eos_token_id
    listed = told if isinstance(told, list) else [told]
    return frozenset(token for token in [*listed, tokenizer.eos_token_id] if token is not None)


def _is_memory_short(error: Exception) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # Except for CUDA, torch has no class for it.
    said = str(error).lower()
    return "out of memory" in said or "can't allocate memory" in said or "not enough memory" in said
