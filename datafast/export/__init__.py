"""Publishing and converting finished datasets. Importing this package imports none of the Hugging Face libraries."""

from datafast.export.card import CardInfo
from datafast.export.hub import push_to_hub

__all__ = ["CardInfo", "push_to_hub"]
