"""What a run on a Ray cluster of four nodes does, each node a set of real processes of this machine with a folder of its own:

    python -m benchmarks.ray_cluster throughput     four workers against one, at equal concurrency a worker; replies take 0.5 s
    python -m benchmarks.ray_cluster rate           a limit of 600 requests a minute, in every window of 60 s as the server sees it
    python -m benchmarks.ray_cluster kills          a node dies every 10 s for two minutes, and the driver once, under a budget

Each prints what it found, and ends with an error where a promise does not hold. Needs the extras `ray` and `test`. The server is a process
of its own and its books are what counts.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parent.parent
_STORE = 80 * 2**20
_REPLY_S = 0.5


# -- parts


class _Nodes:
    """A head that works on nothing, and nodes that can be killed with their folders."""

    def __init__(self, home: Path) -> None:
        from ray.cluster_utils import Cluster

        self._home = home
        self._numbers = itertools.count(1)
        self._nodes: list[tuple[Any, Path]] = []
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": _STORE}
        for tries in range(3):  # Ray gives a node 30 s to start, which a busy machine may need more than once
            with contextlib.suppress(*([Exception] if tries < 2 else [])):
                self._cluster = Cluster(initialize_head=True, head_node_args=head)
                break
        self.address = str(self._cluster.address)

    def fill(self, size: int, *, waits: bool = True) -> None:
        while len(self._nodes) < size:
            own = self._home / f"node {next(self._numbers)}"
            own.mkdir()
            places = {"TMPDIR": str(own), "HOME": str(own), "XDG_CACHE_HOME": str(own)}
            node = self._cluster.add_node(wait=False, num_cpus=1, object_store_memory=_STORE, env_vars=places)
            self._nodes.append((node, own))
        if waits:
            self._cluster.wait_for_nodes()

    def kill(self) -> bool:
        """Kills one, if there is one."""
        if not self._nodes:
            return False
        node, own = self._nodes.pop(0)
        self._cluster.remove_node(node, allow_graceful=False)
        shutil.rmtree(own, ignore_errors=True)
        return True

    def close(self) -> None:
        self._cluster.shutdown()


@contextlib.contextmanager
def _nodes(size: int) -> Iterator[_Nodes]:
    home = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # the paths of sockets have to be short
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(home), "PYTHONPATH": str(_ROOT)}
    nodes = _Nodes(home)
    try:
        nodes.fill(size)
        yield nodes
    finally:
        nodes.close()
        shutil.rmtree(home, ignore_errors=True)


class _Server:
    """A server in a process of its own, whose log has a line for each request: when it came."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "requests"
        program = [sys.executable, "-m", "benchmarks.ray_cluster", "serve", str(self.log)]
        self._process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"

    def times(self) -> list[float]:
        return sorted(float(line) for line in self.log.read_text().splitlines()) if self.log.exists() else []

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def _serve(log: str) -> None:
    """Answers each request after `_REPLY_S`."""
    import asyncio

    body = json.dumps(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": json.dumps({"texts": ["A short note."]})},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100},
        }
    ).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    book = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                os.write(book, b"%.6f\n" % time.monotonic())
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
                await asyncio.sleep(_REPLY_S)
                writer.write(answer)
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=4096)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(serve())


def _generate(folder: str, url: str, settings: str, rows: str, rpm: str) -> None:
    """A driver: generates so many rows."""
    from datafast.datasets import RawDataset
    from datafast.errors import RunStopped
    from datafast.llms import OpenAIProvider
    from datafast.schema.config import RawDatasetConfig, RunConfig

    dataset = RawDataset(
        RawDatasetConfig(
            document_types=["note"],
            topics=[f"topic {number}" for number in range(int(rows))],
            num_samples_per_prompt=1,
            output_file=Path(folder) / "rows.jsonl",
            run=RunConfig(**json.loads(settings)),
        )
    )
    provider = OpenAIProvider("m", api_key="sk-bench", api_base=url, rpm_limit=float(rpm) or None)
    with contextlib.suppress(RunStopped):
        dataset.generate([provider])
    print(dataset.report.counts_line(), dataset.report.calls, flush=True)


def _driver(folder: Path, url: str, settings: dict[str, Any], rows: int, *, rpm: float = 0.0) -> subprocess.Popen[str]:
    given = [str(folder), url, json.dumps(settings), str(rows), str(rpm)]
    program = [sys.executable, "-m", "benchmarks.ray_cluster", "generate", *given]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=_ROOT)


def _uuids(folder: Path) -> list[str]:
    return [json.loads(line)["uuid"] for line in (folder / "rows.jsonl").read_text().splitlines()]


def _kill_at(nodes: _Nodes, times: list[float]) -> None:
    """Kills a node at each of these moments (monotonic seconds), or as soon as there is one."""
    for at in times:
        time.sleep(max(0.0, at - time.monotonic()))
        while not nodes.kill():
            time.sleep(0.1)


# -- what is measured


def _steady_rate(times: list[float]) -> float:
    """Requests a second in the middle of a run: without the start of workers and the end of the plan."""
    first, last = times[len(times) // 4], times[3 * len(times) // 4]
    return (len(times) // 2) / (last - first)


def throughput(folder: Path, *, width: int = 32, seconds: float = 20.0) -> bool:
    """Four workers against one in the same run of the program, at `width` requests in flight for each."""
    rates = []
    with _nodes(4) as nodes:
        for workers in (1, 4):
            own = folder / f"{workers} workers"
            own.mkdir()
            server = _Server(own)
            rows = int(workers * width / _REPLY_S * seconds)
            ray = {"address": nodes.address, "num_workers": workers}
            settings = {"executor": "ray", "ray": ray, "max_concurrency": workers * width}
            _driver(own, server.url, settings, rows).communicate()
            rates.append(_steady_rate(server.times()))
            server.close()
            ideal = workers * width / _REPLY_S
            print(f"{workers} worker(s): {rates[-1]:.1f} requests/s of {ideal:.1f} that {_REPLY_S} s a reply allow")
    ratio = rates[1] / (4 * rates[0])
    print(f"four workers: {ratio:.3f} of four times one worker's throughput")
    return ratio >= 0.9


def rate(folder: Path, *, rpm: int = 600, rows: int = 1500) -> bool:
    """The most requests in any 60 s, as the server sees them."""
    with _nodes(4) as nodes:
        server = _Server(folder)
        settings = {"executor": "ray", "ray": {"address": nodes.address}, "max_concurrency": 64}
        _driver(folder, server.url, settings, rows, rpm=rpm).communicate()
        times = server.times()
        server.close()
    most = max(bisect.bisect_left(times, at + 60.0) - number for number, at in enumerate(times))
    used = (len(times) - 1) / (times[-1] - times[0]) * 60.0
    print(f"rpm_limit {rpm}: at most {most} requests in any 60 s; {used:.0f} a minute on average; {len(times)} in all")
    return most <= rpm and len(times) == rows


def kills(folder: Path, *, rows: int = 6000, seconds: float = 120.0, every_s: float = 10.0) -> bool:
    """A node dies every `every_s` and another one comes; the driver dies in the middle. The budget is what all of it may cost."""
    width, drivers = 32, 1
    budget = rows + 1000
    with _nodes(4) as nodes:
        server = _Server(folder)
        settings = {
            "executor": "ray",
            "ray": {"address": nodes.address},
            "max_concurrency": width,
            "max_calls": budget,
        }
        driver = _driver(folder, server.url, settings, rows)
        began = time.monotonic()
        while not server.times():
            time.sleep(0.2)
        times_of_death = [began + number * every_s for number in range(1, round(seconds / every_s) + 1)]
        killing = threading.Thread(target=_kill_at, args=(nodes, times_of_death))
        killing.start()  # beside, because a node takes longer to start than to kill, and Ray starts them in this thread alone
        while killing.is_alive():
            nodes.fill(4, waits=False)
            if drivers == 1 and time.monotonic() - began > seconds / 2:
                driver.kill()
                driver.communicate()
                drivers += 1
                driver = _driver(folder, server.url, settings, rows)
            time.sleep(0.2)
        deaths = len(times_of_death)
        was_running = driver.poll() is None
        told, _ = driver.communicate()
        sent = len(server.times())
        server.close()
    found = _uuids(folder)
    print(told.strip(), "" if was_running else "(it had ended before the last death)")
    print(
        f"{deaths} nodes and a driver died: {len(found)} rows, {len(set(found))} different, of {rows}; {sent} requests, so "
        f"{sent - rows} were sent again; at most {width * (deaths + 1)} were in flight at deaths; budget {budget}"
    )
    own = folder / "local"
    own.mkdir()
    server = _Server(own)
    _driver(own, server.url, {"max_concurrency": 4 * width}, rows).communicate()
    server.close()
    is_same = sorted(found) == sorted(_uuids(own))
    print(f"the rows are {'' if is_same else 'not '}those of a local run")
    whole = len(found) == len(set(found)) == rows
    return is_same and whole and sent <= budget and sent - rows <= width * (deaths + 1)


def main() -> int:
    """Carries out what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["throughput", "rate", "kills", "serve", "generate"])
    parser.add_argument("given", nargs="*")
    args = parser.parse_args()
    if args.what in {"serve", "generate"}:
        {"serve": _serve, "generate": _generate}[args.what](*args.given)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        holds = {"throughput": throughput, "rate": rate, "kills": kills}[args.what](Path(folder))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
