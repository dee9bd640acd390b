"""Azure OpenAI: chat completions at a resource of one's own, where a model is called by the name of its deployment.

Guarantee and limits: those of `ChatCompletionsProvider`. A price is never guessed from a deployment's name.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, Unpack
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from datafast.errors import ConfigError
from datafast.llms.base_urls import check_base
from datafast.llms.options import ProviderOptions, text_schema
from datafast.llms.prices import Price, context_window, cost_usd
from datafast.llms.providers.chat_completions import ChatCompletionsBodies, ChatCompletionsProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datafast.llms.batches.base import BatchBackend
    from datafast.types import Usage

__all__ = ["AzureOpenAIProvider"]

_ENDPOINT = "AZURE_OPENAI_ENDPOINT"
_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview)?|preview|latest|v1")
# What may follow the resource in an address that was copied from the portal.
_TAIL = re.compile(r"(/openai(/v1|/deployments(/(?P<deployment>[^/]+))?)?|/v1)?(/chat/completions)?$")
_BELOW_RESOURCE = re.compile(r"(/deployments/[^/]+)?/chat/completions$")
_BATCH_ENDPOINT = "/chat/completions"
_NOT_FOR_BATCHES = "If this deployment is not of a batch kind, name one that is with batch_deployment."
_HOSTS = (".azure.com", ".azure.us", ".azure.cn")
_PRICE_LISTS = ("azure", "openai")

_T = TypeVar("_T")


class AzureOpenAIProvider(ChatCompletionsProvider):
    """A deployment of a model on Azure OpenAI (Microsoft Foundry).

    Args:
        model_id: the deployment's name, by which Azure knows the model.
        api_key: the key of the resource, by default from AZURE_OPENAI_API_KEY.
        deployment: the same as `model_id`.
        api_version: a dated version such as `2024-10-21` for the older path (`/openai/deployments/...`); by default the `/openai/v1` path.
        model: the model behind the deployment, for prices.
        batch_deployment: the deployment for batches, of a batch kind and the same model; by default `model_id` is asked for them too.
        **options: see `ProviderOptions`. `api_base` is the resource's address, by default from AZURE_OPENAI_ENDPOINT.
    """

    provider_name = "azure"
    structured_replies = "schema"
    env_key_name = "AZURE_OPENAI_API_KEY"
    token_limit_param = "max_completion_tokens"  # noqa: S105 - tokens of text
    own_params: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "deployment": text_schema("The deployment's name; the same as model_id."),
        "api_version": {
            **text_schema("The version of the API, such as 2024-10-21; left out for the /openai/v1 path."),
            "pattern": f"^({_VERSION.pattern})$",
        },
        "model": text_schema("The model behind the deployment, for its price."),
        "batch_deployment": text_schema("The deployment for batches (Global Batch), of the same model."),
    }

    def __init__(
        self,
        model_id: str | None = None,
        api_key: str | None = None,
        *,
        deployment: str | None = None,
        api_version: str | None = None,
        model: str | None = None,
        batch_deployment: str | None = None,
        **options: Unpack[ProviderOptions],
    ) -> None:
        if deployment is not None and model_id is not None:
            raise ConfigError(
                "model_id: deployment is given too. Name the deployment once, and the model behind it with model.",
                key="model_id",
            )
        name = deployment if deployment is not None else model_id
        if name is None:
            raise ConfigError("deployment: The name of the deployment is missing. Give it.", key="deployment")
        if api_version is not None and not (isinstance(api_version, str) and _VERSION.fullmatch(api_version)):
            raise ConfigError(
                f"api_version: expected a date such as '2024-10-21', in quotes, got {api_version!r}. "
                "Leave it out for the /openai/v1 path.",
                key="api_version",
            )
        if model is not None and (not isinstance(model, str) or not model.strip()):
            raise ConfigError(f"model: expected the name of a model, got {model!r}.", key="model")
        if batch_deployment is not None and (not isinstance(batch_deployment, str) or not batch_deployment.strip()):
            raise ConfigError(
                f"batch_deployment: expected the name of a deployment, got {batch_deployment!r}.",
                key="batch_deployment",
            )
        super().__init__(name, api_key, **options)
        self.api_version = api_version
        self.model = model.strip() if model is not None else None
        self.batch_deployment = batch_deployment.strip() if batch_deployment is not None else None

    @property
    def request_url(self) -> str:
        parts = urlsplit(self.api_base)
        query = dict(parse_qsl(parts.query))
        version = self.api_version or query.pop("api-version", None)
        query |= {} if version is None else {"api-version": version}
        dated = version is not None and version[0].isdigit()
        path = f"/openai/deployments/{quote(self.model_id, safe='')}" if dated else "/openai/v1"
        path = _TAIL.sub("", parts.path) + path + "/chat/completions"
        return urlunsplit(parts._replace(path=path, query=urlencode(query)))

    @property
    def models_url(self) -> str | None:
        """Azure lists the models that may be deployed, and not the deployments."""
        return None

    @property
    def key_headers(self) -> dict[str, str]:
        return {"api-key": self.api_key} if self.api_key else {}

    @property
    def key_is_optional(self) -> bool:
        """Whether a token of Entra ID is sent in place of a key."""
        return any(name.lower() in {"authorization", "api-key"} for name in self.extra_headers)

    def require_ready(self) -> None:
        """See `LLMProvider.require_ready`.

        Raises:
            ConfigError: the address is missing too, or names another deployment.
        """
        if not self.api_base:
            raise ConfigError(
                f"{self.label} needs the address of the resource. Set {_ENDPOINT} in the environment, or api_base, to one like "
                "https://example.openai.azure.com.",
                key="api_base",
            )
        tail = _TAIL.search(urlsplit(self.api_base).path)
        named = unquote(tail["deployment"] or "") if tail else ""
        if named and named != self.model_id:
            raise ConfigError(
                f"{self.label}: The address names another deployment, {named!r}. Give the address of the resource alone.",
                key="api_base",
            )
        super().require_ready()

    @property
    def listed_batch_discount(self) -> float | None:
        return 0.5 if (urlsplit(self.api_base).hostname or "").endswith(_HOSTS) else None

    def open_batches(self) -> BatchBackend | None:
        from datafast.llms.batches.openai import OpenAIBatches

        parts = urlsplit(self.request_url)
        root = urlunsplit(parts._replace(path=_BELOW_RESOURCE.sub("", parts.path)))
        bodies = ChatCompletionsBodies(self, stream=False, model=self.batch_deployment)
        hint = "" if self.batch_deployment else _NOT_FOR_BATCHES
        return OpenAIBatches(self, bodies, root=root, endpoint=_BATCH_ENDPOINT, hint=hint)

    @property
    def known_context(self) -> int | None:
        return self._first_known(context_window)

    def cost_usd(self, usage: Usage) -> float | None:
        def listed(name: str, model: str) -> float | None:
            return cost_usd(usage, provider_name=name, model_id=model)

        price: Price | None = self.price
        return price.cost_usd(usage) if price is not None else self._first_known(listed)

    def _first_known(self, look_up: Callable[[str, str], _T | None]) -> _T | None:
        """What a price list has on the model: Azure's own, else that of OpenAI, whose prices are the same."""
        if self.model is None:
            return None
        found = (look_up(name, self.model) for name in _PRICE_LISTS)
        return next((value for value in found if value is not None), None)

    def _configured_base(self) -> str | None:
        base = super()._configured_base()
        endpoint = os.environ.get(_ENDPOINT, "").strip()
        return base or (check_base(endpoint, place=_ENDPOINT) if endpoint else None)
