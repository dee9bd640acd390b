"""A model that keeps the books: what it is asked for costs the list price, whatever it states as its usage.

Each prompt has its own length of reply, and how the usage is stated, whether the limit on the wire is obeyed and how the weather is,
are drawn with a seed. `charged_usd` is what the vendor's bill would say. `passing_usd` is the part of it that no budget can foresee: what
was beyond its limit, or was put into the prompt, before the client can have heard of such a thing.
"""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import dataclass, field
from typing import Any

from tests.servers.fault_server import Answer, Recorded, reply_to

__all__ = ["PRICES", "SHAPES", "Bank", "Habits", "limit_of"]

PRICES = {"m": (1.0, 10.0), "cheap": (0.1, 0.4), "dear": (5.0, 60.0)}  # USD per million tokens, in and out
SHAPES = ("plain", "inside", "outside", "zero", "missing", "cached", "negative", "strings", "floats", "beside")
TOLD = {"plain", "inside", "outside", "cached", "floats", "beside"}


def limit_of(request: Recorded) -> int | None:
    """The limit on the wire."""
    found = request.json.get("max_tokens") or request.json.get("max_completion_tokens")
    return None if found is None else int(found)


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How a model behaves.

    Attributes:
        shapes: how it states its usage; each is used for a stretch of replies.
        lengths: least and most tokens of a reply; a tenth of them is `times` as long where `has_long` says so.
        grows_at: the number of the request from which all are `times` as long.
        obeys: whether it stops at the limit on the wire; else some replies go on.
        hidden: tokens that it puts into prompts.
        longest: what a reply cannot exceed, whatever is asked; None for no such limit. `refuses_above`: whether a request for more is
            refused.
        limited, broken, dropped: the parts of requests that get a 429, a 500, or a connection that breaks after the reply was made.
    """

    shapes: tuple[str, ...] = ("plain",)
    lengths: tuple[int, int] = (30, 400)
    has_long: bool = False
    grows_at: int | None = None
    times: int = 10
    obeys: bool = True
    hidden: int = 0
    longest: int | None = None
    refuses_above: bool = False
    limited: float = 0.0
    broken: float = 0.0
    dropped: float = 0.0
    delay_s: float = 0.0


@dataclass
class Bank:
    """Give it to a `FaultServer` as `respond`."""

    seed: int
    habits: Habits
    concurrency: int
    charged_usd: float = 0.0
    passing_usd: float = 0.0
    tokens: int = 0
    passing_tokens: int = 0
    arrived: int = 0
    cut: int = 0
    served: list[tuple[int | None, int]] = field(default_factory=list)
    beyond: dict[str, int] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    news_at: dict[str, int] = field(default_factory=dict)
    excused_until: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._bytes_per_token = self._rng.choice([1, 3, 4, 5])

    def __call__(self, request: Recorded) -> Answer:
        self.arrived += 1
        habits, rng, asked = self.habits, self._rng, limit_of(request)
        delay_s = rng.uniform(0.0, habits.delay_s)
        weather = rng.random()
        if weather < habits.limited:
            return Answer(status=429, headers={"Retry-After": "0"}, body={"error": {"message": "slow down"}})
        if weather < habits.limited + habits.broken:
            return Answer(status=500, body={"error": {"message": "oops"}})
        if habits.refuses_above and habits.longest is not None and (asked or 0) > habits.longest:
            said = {"message": "max_tokens is too large", "type": "invalid_request_error", "code": 400}
            return Answer(status=400, body={"error": said})
        given, needed = self._given(request), self._needed(request)
        most = min(asked or 10**9, habits.longest or 10**9)
        written, is_cut = (needed, False) if needed <= most else (most, True)
        if not habits.obeys and asked is not None and rng.random() < 0.2:
            written, is_cut = rng.randint(asked, 8 * asked), False
        shape = habits.shapes[(self.arrived // 7) % len(habits.shapes)]
        dropped = weather > 1.0 - habits.dropped
        if self._charge(request, given, written, asked, told=shape in TOLD and not dropped):
            delay_s = (
                0.0  # what others are answered meanwhile would be asked for anew before the client has read of this
            )
        body = _body(request, given, written, is_cut=is_cut, shape=shape, number=self.arrived)
        self.cut += is_cut
        return Answer(body=body, delay_s=delay_s, cut_after=10 if dropped else None)

    def begins_again(self) -> None:
        """The client was killed: of what it had in flight, and in the last moment, it remembers nothing."""
        for model, at in self.news_at.items():
            if self.arrived - at < 2 * self.concurrency:
                self.excused_until[model] = self.arrived + self.concurrency

    def _given(self, request: Recorded) -> int:
        text = "".join(message["content"] for message in request.json["messages"])
        return max(1, len(text.encode()) // self._bytes_per_token) + self.habits.hidden

    def _needed(self, request: Recorded) -> int:
        """The length of a reply is a matter of its prompt."""
        habits, own = self.habits, random.Random(zlib.crc32(request.prompt.encode()))
        needed = own.randint(*habits.lengths)
        grown = habits.grows_at is not None and self.arrived >= habits.grows_at
        return needed * habits.times if grown or (habits.has_long and own.random() < 0.1) else needed

    def _charge(self, request: Recorded, given: int, written: int, asked: int | None, *, told: bool) -> bool:
        """Returns whether the client is told something of which it cannot have known."""
        price_in, price_out = PRICES[request.json["model"]]
        self.charged_usd += (given * price_in + written * price_out) / 1e6
        self.tokens += given + written
        self.served.append((asked, written))
        beyond, hidden = max(0, written - (asked or written)), self.habits.hidden
        if not beyond and not hidden:
            return False
        model = request.json["model"]
        news = (beyond and written > 2 * self.beyond.get(model, 0)) or (hidden and model not in self.hidden)
        if told:
            self.beyond[model] = max(self.beyond.get(model, 0), written if beyond else 0)
            self.hidden |= {model} if hidden else set()
        if told and news:  # all that is on its way, and what leaves before this has been read
            self.excused_until[model] = self.arrived + self.concurrency
            self.news_at[model] = self.arrived
        if news or self.arrived <= self.excused_until.get(model, 0):
            self.passing_usd += (hidden * price_in + beyond * price_out) / 1e6
            self.passing_tokens += hidden + beyond
        return bool(told and news)


def _body(request: Recorded, given: int, written: int, *, is_cut: bool, shape: str, number: int) -> dict[str, Any]:
    body = reply_to(request, Answer(), number=number)
    choice = body["choices"][0]
    if is_cut:
        text = choice["message"]["content"]
        choice["message"]["content"] = text[: max(1, len(text) // 2)]
        choice["finish_reason"] = "length"
    body["usage"] = _stated(given, written, shape)
    return body


def _stated(given: int, written: int, shape: str) -> Any:
    plain: dict[str, Any] = {
        "prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written
    }  # fmt: skip
    thought = written // 2
    return {
        "plain": plain,
        "inside": {**plain, "completion_tokens_details": {"reasoning_tokens": thought}},
        "outside": {**plain, "completion_tokens": written - thought},
        "beside": {  # in no total: more reasoning than completion cannot be part of it
            "prompt_tokens": given,
            "completion_tokens": written // 4,
            "completion_tokens_details": {"reasoning_tokens": written - written // 4},
        },
        "zero": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "missing": None,
        "cached": {**plain, "prompt_tokens_details": {"cached_tokens": given * 2}},
        "negative": {**plain, "completion_tokens": -written, "total_tokens": -1},
        "strings": json.loads(json.dumps({name: str(value) for name, value in plain.items()})),
        "floats": {name: float(value) for name, value in plain.items()},
    }[shape]
