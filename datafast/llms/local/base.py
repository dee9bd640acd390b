"""The common base of providers whose model datafast loads on this machine."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from datafast.errors import MissingExtraError
from datafast.llms.options import NETWORK_OPTIONS, ProviderOptions
from datafast.llms.provider import LLMProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datafast.types import Usage

__all__ = ["InProcessProvider"]


class InProcessProvider(LLMProvider):
    """Base of `LlamaCppProvider` and `TransformersProvider`: no key, no address, and no cost unless `price` is given.

    Attributes:
        extra_name: the name of the extra in `pip install 'datafast[...]'`.
        needed_packages: the packages of the extra, which are looked for before a run starts.
    """

    unused_options = NETWORK_OPTIONS
    connects = False
    extra_name: ClassVar[str]
    needed_packages: ClassVar[tuple[str, ...]]

    def __init__(self, model_id: str, *, own: Mapping[str, Any], **options: Unpack[ProviderOptions]) -> None:
        super().__init__(model_id, **options)
        self._options |= {key: value for key, value in own.items() if value is not None}

    @property
    def api_base(self) -> str:
        return "this machine"

    @property
    def api_key(self) -> str | None:
        return None

    def require_ready(self) -> None:
        """Checks that the packages that run the model are installed.

        Raises:
            MissingExtraError: one is missing; names the command that installs it.
        """
        missing = [name for name in self.needed_packages if importlib.util.find_spec(name) is None]
        if missing:
            raise MissingExtraError(
                f"{self.label} needs {' and '.join(missing)}. Install it: pip install 'datafast[{self.extra_name}]'."
            )

    def cost_usd(self, usage: Usage) -> float:
        return self.price.cost_usd(usage) if self.price is not None else 0.0
