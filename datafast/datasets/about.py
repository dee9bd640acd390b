"""What the manifest of a dataset says of how it is made, beside what the ledger knows: who answers, the digests of its templates and
sources, the fields of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from datafast.datasets.digests import sources_now, templates_now
from datafast.datasets.row import COMPARED
from datafast.engine.manifest import versions_here
from datafast.engine.routes import Route, labels_of, providers_of
from datafast.errors import ConfigError
from datafast.export.features import described
from datafast.llms.transport.redaction import without_secrets
from datafast.plan.members import members_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.datasets.dataset import Dataset
    from datafast.llms.provider import LLMProvider
    from datafast.plan.items import Plan

__all__ = ["about"]


def about(dataset: Dataset[Any, Any], routes: Sequence[Route[LLMProvider]], plan: Plan) -> str:
    """It as JSON. It has nothing that is secret."""
    config, providers = dataset.config, providers_of(routes)
    labels = labels_of(providers)
    told = {
        "given": {"config": sorted(config.model_fields_set), "run": sorted(config.run.model_fields_set)},
        "row": {
            "kind": dataset.kind,
            "model": dataset.row_model.__name__,
            "fields": list(dataset.written_model.model_fields),
            "columns": _columns(dataset.written_model),
            "compared": getattr(dataset.row_model, COMPARED, None),
        },
        "items": len(members_of(plan)),
        "templates": templates_now(config),
        "sources": sources_now(config, dataset.other_ledgers()),
        "providers": [_provider(provider, labels[id(provider)]) for provider in providers],
        "routes": [_route(route, labels) for route in routes],
        "versions": versions_here(),
    }
    return orjson.dumps(told).decode()


def _columns(row_model: type[BaseModel]) -> list[dict[str, Any]] | None:
    """The columns of the rows, for a later process; None where a field can be none, of which only an export would say so."""
    try:
        return described(row_model)
    except ConfigError:
        return None


def _provider(provider: LLMProvider, label: str) -> dict[str, Any]:
    spec = provider.spec or {"provider": provider.provider_name, "model_id": provider.model_id}
    spec.pop("extra_headers", None)
    identity = provider.identity
    is_open = not any(secret in identity for secret in provider.secrets)
    return {"label": label, "identity": identity if is_open else None, "spec": without_secrets(spec)}


def _route(route: Route[LLMProvider], labels: dict[int, str]) -> dict[str, Any]:
    """Who answers on it: a label for all roles, or one for each; and those of further roles."""
    own: Any = (
        labels[id(route.sole)] if route.sole is not None else _labelled({r: route.of(r) for r in route.roles}, labels)
    )
    return {"own": own, "further": _labelled(route.further, labels)} if route.further else {"own": own}


def _labelled(members: Mapping[str, LLMProvider], labels: dict[int, str]) -> dict[str, str]:
    return {role: labels[id(member)] for role, member in members.items()}
