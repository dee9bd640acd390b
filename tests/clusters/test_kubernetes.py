"""The jobs of examples/kubernetes: valid by the official schema, and their commands run as pods that die and are replaced."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from datafast.schema.config import RunConfig
from tests.clusters.running import SHARDED, kill_all, one_process, rows_in, until_rows, write_config
from tests.support import ROOT

EXAMPLES = ROOT / "examples" / "kubernetes"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a shell of Unix")


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLES / name).read_text("utf-8")))


def job(name: str) -> dict[str, Any]:
    (found,) = [one for one in documents(name) if one["kind"] == "Job"]
    spec: dict[str, Any] = found["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    (found,) = job(name)["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def action(name: str, code: int) -> str:
    """What the policy of a job does about a container that ends with this code, by the first rule that fits."""
    for rule in job(name)["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes")
        if codes and codes["containerName"] == container(name)["name"]:
            assert codes["operator"] == "In"
            if code in codes["values"]:
                return str(rule["action"])
    return "Count"  # as without a policy


class Cluster:
    """Volumes, and pods as processes: the very command of a container, with the paths of its mounts led to the volumes.

    Attributes:
        shards: those of the file; set it for as many as a user has put there.
    """

    def __init__(self, folder: Path) -> None:
        self.config, self.data = folder / "config", folder / "data"
        self.shards = int(next(one["value"] for one in container("generate.yaml")["env"] if one["name"] == "SHARDS"))
        programs = folder / "bin"
        for path in (self.config, self.data, programs):
            path.mkdir(parents=True)
        (programs / "datafast").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m datafast "$@"\n', "utf-8")
        (programs / "datafast").chmod(0o755)
        kept = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_TOKEN"))}
        self._environment = {**kept, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def pod(self, name: str, *, index: int | None = None, more: str = "") -> subprocess.Popen[str]:
        """Starts the container of a job; `more` are further options of its command."""
        spec = container(name)
        variables = {one["name"]: one["value"] for one in spec.get("env", [])} | {"SHARDS": str(self.shards)}
        if index is not None:
            variables["JOB_COMPLETION_INDEX"] = str(index)
        (line,) = spec["args"]
        for mount in spec["volumeMounts"]:
            place = {"config": self.config, "data": self.data}[mount["name"]]
            line = line.replace(f"{mount['mountPath']}/", f"{place}/")
        return subprocess.Popen(
            [*spec["command"], line + more],
            cwd=self.data,
            env={**self._environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def shard(self, index: int) -> Path:
        return self.data / "rows" / f"shard-{index + 1:05}-of-{self.shards:05}.jsonl"


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code as Kubernetes tells it, with 128 and more for a signal; and the log."""
    output, _ = process.communicate(timeout=200)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode, output


# -- the files


@pytest.mark.parametrize("name", ["generate.yaml", "look.yaml", "merge.yaml"])
@pytest.mark.parametrize("version", ["1.31", "1.34", "1.37"])
def test_a_file_is_valid_by_the_schema_of_kubernetes(name: str, version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for document in documents(name):
        validate.validate(document, version, strict=True)


@pytest.mark.parametrize("name", ["generate.yaml", "merge.yaml"])
def test_a_job_has_what_the_server_asks_of_its_policy(name: str) -> None:
    """Rules that no schema has (https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy)."""
    spec = job(name)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    for rule in spec["podFailurePolicy"]["rules"]:
        assert len({"onExitCodes", "onPodConditions"} & rule.keys()) == 1
        values = rule.get("onExitCodes", {}).get("values", [1])
        assert values == sorted(set(values))
        assert 0 not in values
        if rule["action"] == "FailIndex":
            assert spec["completionMode"] == "Indexed"
            assert "backoffLimitPerIndex" in spec
    volumes = {one["name"]: one for one in spec["template"]["spec"]["volumes"]}
    assert {one["name"] for one in container(name)["volumeMounts"]} == volumes.keys()
    claim, _ = documents("generate.yaml")
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert container(name)["image"] == container("merge.yaml")["image"]


def test_the_shards_of_the_job_are_as_many_as_it_counts() -> None:
    spec = job("generate.yaml")
    shards = next(one["value"] for one in container("generate.yaml")["env"] if one["name"] == "SHARDS")
    assert str(spec["completions"]) == shards
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= RunConfig().grace_s + 30


def test_only_what_another_try_can_change_is_tried_again() -> None:
    assert [action("generate.yaml", code) for code in (4, 130, 137, 143)] == ["Count"] * 4
    assert [action("generate.yaml", code) for code in (2, 3)] == ["FailIndex"] * 2
    assert [action("merge.yaml", code) for code in (2, 4)] == ["FailJob"] * 2
    assert action("merge.yaml", 137) == "Count"


# -- the pods


def test_pods_that_are_told_to_go_or_killed_are_replaced_until_every_row_is_there(
    cluster: Cluster, tmp_path: Path
) -> None:
    write_config(cluster.config, latency_s=0.5, run="ordered: true, max_concurrency: 1")
    others = [cluster.pod("generate.yaml", index=index) for index in (0, 3)]
    drained = cluster.pod("generate.yaml", index=1)
    until_rows(cluster.shard(1), 1, drained)
    drained.send_signal(signal.SIGTERM)  # it has the grace period to end
    code, log = ended(drained)
    assert action("generate.yaml", code) == "Count", log
    assert "in flight land" in log
    lost = cluster.pod("generate.yaml", index=2)
    until_rows(cluster.shard(2), 1, lost)
    kill_all(lost)
    assert [ended(pod)[0] for pod in others] == [0, 0]

    assert all(0 < len(rows_in(cluster.shard(index))) < SHARDED for index in range(4))
    write_config(cluster.config)
    for index in (1, 2):
        code, log = ended(cluster.pod("generate.yaml", index=index))
        assert code == 0, log
    code, log = ended(cluster.pod("merge.yaml"))
    assert code == 0, log
    assert (cluster.data / "rows.jsonl").read_bytes() == one_process(tmp_path / "one")


def test_a_wrong_config_fails_its_index_at_once(cluster: Cluster) -> None:
    path = write_config(cluster.config)
    path.write_text(path.read_text("utf-8").replace("topics:", "topix:"), encoding="utf-8")
    code, log = ended(cluster.pod("generate.yaml", index=0))
    assert "topix" in log
    assert action("generate.yaml", code) == "FailIndex"


def test_a_merge_of_what_is_not_there_yet_is_not_tried_again(cluster: Cluster) -> None:
    write_config(cluster.config)
    assert ended(cluster.pod("generate.yaml", index=1))[0] == 0
    code, log = ended(cluster.pod("merge.yaml"))
    assert "Shard 1/4 is not there." in log
    assert action("merge.yaml", code) == "FailJob"


def test_an_example_runs_offline_as_an_indexed_job(cluster: Cluster) -> None:
    shutil.copy(ROOT / "examples" / "space_engineering.yaml", cluster.config / "config.yaml")
    cluster.shards = 2
    pods = [cluster.pod("generate.yaml", index=index, more=" --offline") for index in range(2)]
    assert [ended(pod)[0] for pod in pods] == [0] * 2
    for former in (0, 0, 1):
        if former:
            assert ended(cluster.pod("generate.yaml", index=0, more=" --offline"))[0] == 0
        assert ended(cluster.pod("merge.yaml"))[0] == 0
        assert len(list(cluster.data.glob("rows.jsonl.[0-9]*.bak"))) == former  # only where shards have gone on
        assert len(rows_in(cluster.data / "rows.jsonl")) == 288
