"""Publishing and converting finished datasets. Importing this package imports none of the Hugging Face libraries."""

from typing import TYPE_CHECKING

from datafast._util.lazy import lazy_names

if TYPE_CHECKING:
    from datafast.export.card import CardInfo
    from datafast.export.hub import push_to_hub
else:
    __getattr__, __dir__ = lazy_names(
        __name__, {"datafast.export.card": ["CardInfo"], "datafast.export.hub": ["push_to_hub"]}
    )

__all__ = ["CardInfo", "push_to_hub"]
