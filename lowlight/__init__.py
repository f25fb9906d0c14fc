"""Turn dark, noisy photos into bright, clean ones; train, check and compare the models that do it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowlight.api import enhance

__version__ = "0.1.0"

__all__ = ["__version__", "enhance"]


def __getattr__(name: str) -> object:
    """Import what photos need only once it is asked for."""
    if name == "enhance":
        from lowlight.api import enhance

        return enhance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
