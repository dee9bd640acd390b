"""People from whose point of view rows are written: a list of them, a source, or the settings to grow them from. See
`datafast.personas.growth` for how a model grows them."""

from typing import TYPE_CHECKING

from datafast._util.lazy import lazy_names

if TYPE_CHECKING:
    from datafast.personas.config import PersonasConfig
else:
    __getattr__, __dir__ = lazy_names(__name__, {"datafast.personas.config": ["PersonasConfig"]})

__all__ = ["PersonasConfig"]
