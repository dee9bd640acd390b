"""The scripts of examples/slurm, started as Slurm starts them: tasks that run out of time, die and are queued again, then the merge."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datafast.schema.config import RunConfig
from tests.clusters.running import SHARDED, kill_all, one_process, rows_in, until_rows, write_config
from tests.clusters.slurm import Job, Slurm, array_of, directives
from tests.support import ROOT

EXAMPLES = ROOT / "examples" / "slurm"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Slurm is for Linux")


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path / "slurm")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder in which a user works: with the scripts, in a folder of their own."""
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.copytree(EXAMPLES, folder / "slurm")
    return folder


def submitted(
    slurm: Slurm, work: Path, *options: str, shards: int = 3, folder: str = "rows"
) -> subprocess.CompletedProcess[str]:
    command = ["slurm/submit.sh", "config.yaml", folder, str(shards), *options]
    return subprocess.run(command, cwd=work, env=slurm.environment, capture_output=True, text=True, check=False)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=200)
    return process.returncode, output


def shard(work: Path, number: int, of: int = 3) -> Path:
    return work / "rows" / f"shard-{number:05}-of-{of:05}.jsonl"


def all_tasks(slurm: Slurm, work: Path, job: Job) -> dict[int, int]:
    """Runs the tasks of an array to their ends; returns their exit codes."""
    processes = {task: slurm.begin(job, work, task=task) for task in job.tasks}
    return {task: ended(process)[0] for task, process in processes.items()}


# -- the scripts


@pytest.mark.parametrize("script", ["shard.sbatch", "merge.sbatch", "submit.sh"])
def test_a_script_is_good_bash(script: str) -> None:
    checked = subprocess.run(["bash", "-n", EXAMPLES / script], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    beside = Path(sys.executable).with_name("shellcheck")
    if (checker := shutil.which("shellcheck") or (str(beside) if beside.exists() else None)) is None:
        pytest.skip("needs shellcheck")
    checked = subprocess.run([checker, EXAMPLES / script], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_a_task_is_told_early_enough_that_its_calls_can_land() -> None:
    asked = directives(EXAMPLES / "shard.sbatch")
    to, _, seconds = asked["signal"].partition("@")
    assert to == "B:USR1"  # to the script, which hands it on
    assert int(seconds) >= 2 * RunConfig().grace_s
    assert "requeue" in asked
    assert asked["open-mode"] == "append"  # a task that is queued again goes on in its log
    assert "%A_%a" in asked["output"]
    assert "array" not in asked  # submit.sh says which


def test_the_ids_of_arrays_are_read_as_slurm_reads_them() -> None:
    assert array_of("1-4") == [1, 2, 3, 4]
    assert array_of("2,5-7%2") == [2, 5, 6, 7]
    assert array_of("0-6:3") == [0, 3, 6]


# -- a job


def test_an_array_that_runs_out_of_time_and_loses_a_node_makes_every_row_once(slurm: Slurm, work: Path) -> None:
    write_config(work, latency_s=0.5, run="ordered: true, max_concurrency: 1")
    done = submitted(slurm, work)
    assert done.returncode == 0, done.stderr
    array, merge = slurm.jobs
    assert array.tasks == [1, 2, 3]
    assert merge.after == array.id
    first = slurm.begin(array, work, task=1)
    second = slurm.begin(array, work, task=2)
    until_rows(shard(work, 2), 1, second)
    second.send_signal(signal.SIGUSR1)  # its time is nearly over
    code, log = ended(second)
    assert code == 130, log
    assert slurm.take_requeued() == [f"{array.id}_2"]
    third = slurm.begin(array, work, task=3)
    until_rows(shard(work, 3), 1, third)
    kill_all(third)  # Slurm queues it again by itself
    assert ended(first)[0] == 0

    before = {number: len(rows_in(shard(work, number))) for number in (2, 3)}
    assert all(0 < before[number] < SHARDED for number in before)
    write_config(work)
    for task in (2, 3):
        code, log = ended(slurm.begin(array, work, task=task, restarts=1))
        assert code == 0, log
    assert slurm.take_requeued() == []
    code, log = ended(slurm.begin(merge, work))
    assert code == 0, log
    assert (work / "rows.jsonl").read_bytes() == one_process(work / "one")


def test_submitting_again_takes_the_shards_that_lack_rows(slurm: Slurm, work: Path) -> None:
    write_config(work)
    submitted(slurm, work, shards=2)
    array, _ = slurm.jobs
    assert ended(slurm.begin(array, work, task=2))[0] == 0
    assert submitted(slurm, work, shards=2).stdout.startswith("shards 1 of 2: job 3\n")
    again, merge = slurm.jobs[2:]
    assert again.tasks == [1]
    assert set(all_tasks(slurm, work, again).values()) == {0}
    assert ended(slurm.begin(merge, work))[0] == 0
    assert submitted(slurm, work, shards=2).stdout == "merge: job 5\n"
    last = slurm.jobs[-1]
    assert last.after is None
    assert ended(slurm.begin(last, work))[0] == 0
    assert len(rows_in(work / "rows.jsonl")) == SHARDED
    assert list(work.glob("rows.jsonl.[0-9]*.bak")) == []  # what may have been bought for the file stays in it
    assert ended(slurm.begin(array, work, task=2))[0] == 0
    assert ended(slurm.begin(last, work))[0] == 0
    assert len(list(work.glob("rows.jsonl.[0-9]*.bak"))) == 1
    assert len(rows_in(work / "rows.jsonl")) == SHARDED


def test_shards_at_a_url_are_submitted_again_and_merged_here(slurm: Slurm, work: Path) -> None:
    slurm.environment["XDG_CACHE_HOME"] = str(work / "cache")
    write_config(work)
    url = f"file://{work}/share/rows"
    first = submitted(slurm, work, shards=2, folder=url)
    assert first.stdout.startswith("shards 1-2 of 2: job 1\n"), first.stderr
    assert ended(slurm.begin(slurm.jobs[0], work, task=2))[0] == 0
    assert submitted(slurm, work, shards=2, folder=url).stdout.startswith("shards 1 of 2: job 3\n")
    again, merge = slurm.jobs[2:]
    assert all_tasks(slurm, work, again) == {1: 0}
    code, log = ended(slurm.begin(merge, work))
    assert code == 0, log
    assert len(rows_in(work / "rows.jsonl")) == SHARDED


def test_another_number_of_shards_is_refused_before_anything_is_submitted(slurm: Slurm, work: Path) -> None:
    write_config(work)
    submitted(slurm, work)
    assert ended(slurm.begin(slurm.jobs[0], work, task=1))[0] == 0
    done = submitted(slurm, work, shards=4)
    assert done.returncode != 0
    assert "The folder has 3 shards. Give that number, or change it with `datafast reshard`." in done.stderr
    assert len(slurm.jobs) == 2


def test_an_example_runs_offline_as_an_array(slurm: Slurm, work: Path) -> None:
    shutil.copy(ROOT / "examples" / "space_engineering.yaml", work / "config.yaml")
    slurm.environment = {
        key: value for key, value in slurm.environment.items() if not key.endswith(("_API_KEY", "_TOKEN"))
    }
    done = submitted(slurm, work, "--offline", shards=2)
    assert done.returncode == 0, done.stderr
    array, merge = slurm.jobs
    assert all_tasks(slurm, work, array) == {1: 0, 2: 0}
    assert ended(slurm.begin(merge, work))[0] == 0
    assert len(rows_in(work / "rows.jsonl")) == 288


# -- how a task ends


@pytest.mark.parametrize(
    ("run", "options", "code"),
    [
        pytest.param("max_concurrency: 2", ["--no-such-option"], 2, id="a wrong command"),
        pytest.param("max_concurrency: 2, max_calls: 6", [], 4, id="a budget"),
    ],
)
def test_what_another_try_would_not_change_is_not_queued_again(
    slurm: Slurm, work: Path, run: str, options: list[str], code: int
) -> None:
    write_config(work, run=run)
    submitted(slurm, work, *options)
    assert ended(slurm.begin(slurm.jobs[0], work, task=1))[0] == code
    assert slurm.take_requeued() == []


def test_a_task_with_rows_that_failed_for_good_has_ended(slurm: Slurm, work: Path) -> None:
    path = write_config(work)
    path.write_text(path.read_text("utf-8").replace("latency_s: 0.0", "faults: {refused: 0.4}"), encoding="utf-8")
    submitted(slurm, work)
    code, log = ended(slurm.begin(slurm.jobs[0], work, task=1))
    assert code == 0
    assert " failed, 0 pending" in log
    assert " 0 failed, 0 pending" not in log


def test_a_task_that_is_cancelled_lets_its_calls_land_and_is_not_queued_again(slurm: Slurm, work: Path) -> None:
    write_config(work, latency_s=0.5, run="ordered: true, max_concurrency: 1")
    submitted(slurm, work)
    task = slurm.begin(slurm.jobs[0], work, task=1)
    until_rows(shard(work, 1), 1, task)
    task.send_signal(signal.SIGTERM)
    code, log = ended(task)
    assert code == 130, log
    assert "in flight land" in log
    assert slurm.take_requeued() == []


def test_a_task_that_is_restarted_too_often_is_not_queued_again(slurm: Slurm, work: Path) -> None:
    write_config(work, latency_s=0.5, run="ordered: true, max_concurrency: 1")
    submitted(slurm, work)
    slurm.environment["MOST_RESTARTS"] = "3"
    task = slurm.begin(slurm.jobs[0], work, task=1, restarts=3)
    until_rows(shard(work, 1), 1, task)
    task.send_signal(signal.SIGUSR1)
    assert ended(task)[0] == 130
    assert slurm.take_requeued() == []


def test_ids_that_begin_at_0_are_refused_in_words(slurm: Slurm, work: Path) -> None:
    write_config(work)
    submitted(slurm, work)
    job = slurm.jobs[0]
    job.options["array"] = "0-2"
    code, log = ended(slurm.begin(job, work, task=0))
    assert code == 2
    assert "Shards are counted from 1" in " ".join(log.split())
    assert not (work / "rows").exists()
