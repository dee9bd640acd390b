"""What a cluster has and what a worker needs, and why none can be used: in numbers and in words. Knows nothing of Ray itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from datafast.errors import ConfigError

__all__ = ["none_free", "nowhere", "shown", "unreachable", "workers_on"]

Resources = Mapping[str, float]


def workers_on(has: Resources, needed: Resources) -> int:
    """How many workers there are to be on a node: one, or as many as it has GPUs for."""
    if any(has.get(name, 0.0) < number for name, number in needed.items()):
        return 0
    return int(has["GPU"] // needed["GPU"]) if needed.get("GPU") else 1


def shown(resources: Resources) -> str:
    """Resources in words, without those that Ray has of its own."""
    own = {name: number for name, number in resources.items() if ":" not in name and name != "object_store_memory"}
    return ", ".join(f"{number:g} {name}" for name, number in sorted(own.items())) or "nothing"


def unreachable(address: str, error: Exception) -> ConfigError:
    """There is no cluster at the address of the config, or none that lets us in."""
    named = os.environ.get("RAY_ADDRESS") if address == "auto" else address
    if not named:
        why = (
            "No Ray cluster runs on this machine. Start one with `ray start --head` (and `ray start --address=HOST:PORT` on the others), "
            "give its address, or set address: local to use this machine alone."
        )
    else:
        why = (
            f"No Ray cluster can be used at {named!r}: {error}. `ray start --head` starts one there, and says its address. One that asks "
            f"for a token needs RAY_AUTH_MODE=token here, and its token in ~/.ray/auth_token."
        )
    return ConfigError(f"run.ray.address: {why}", key="address")


def nowhere(needed: Resources, nodes: Iterable[Resources]) -> ConfigError:
    """No node of these has what a worker needs, however long it is waited for."""
    return ConfigError(
        f"run.ray.resources: No node of the cluster has {shown(needed)}, which a worker needs. They have: {'; '.join(map(shown, nodes))}.",
        key="resources",
    )


def none_free(needed: Resources, free: Resources, waited_s: float) -> ConfigError:
    """The nodes have what a worker needs, and others use it."""
    return ConfigError(
        f"run.executor: No worker could be started within {waited_s:.0f} s. Each needs {shown(needed)}, and the cluster has free: "
        f"{shown(free)}. Wait for others to end, or set smaller run.ray.resources."
    )
