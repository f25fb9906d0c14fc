"""Turn dark, noisy photos into bright, clean ones; train, check and compare the models that do it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowlight.api import Model, enhance, load_model

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "enhance", "load_model"]


def __getattr__(name: str) -> object:
    """Import what photos need only once it is asked for."""
    if name in ("Model", "enhance", "load_model"):
        from lowlight import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
