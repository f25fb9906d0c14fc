"""Turn dark, noisy photos into bright, clean ones; train, check and compare the models that do it."""

import sys
from typing import TYPE_CHECKING

if sys.version_info < (3, 11):  # noqa: UP036 - a clone is not kept from it by any installer
    raise SystemExit(f"lowlight needs Python 3.11 to 3.13. Received: {sys.version.split()[0]}. Run it by another one.")

if TYPE_CHECKING:
    from lowlight.api import Model, enhance, load_model

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "enhance", "load_model"]


if not TYPE_CHECKING:  # to which any name would seem to be here

    def __getattr__(name: str) -> object:
        """Import what photos need only once it is asked for."""
        if name in __all__:
            from lowlight import api

            return getattr(api, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """What is imported later is offered by Tab at a prompt, and by help(), too."""
        return sorted({*globals(), *__all__})
