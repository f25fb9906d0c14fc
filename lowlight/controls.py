"""How a result shall look: what a photographer sets, where the model has the control."""

import dataclasses
import numbers

from lowlight.errors import UserError

RANGES = {
    "exposure": (-3, 3),
    "shadows": (-3, 3),
    "highlights": (-3, 3),
    "strength": (0, 1),
    "denoise": (0, 1),
}


@dataclasses.dataclass(frozen=True)
class Controls:
    """How the result shall look, where the model has the control.

    Raises
    ------
    UserError
        If a value is out of its range, or of another kind.
    """

    exposure: float = 0.0
    """Brighter (or darker, below 0) by so many stops, -3 to 3."""
    shadows: float = 0.0
    """The dark parts alone, brighter or darker by so many stops, -3 to 3."""
    highlights: float = 0.0
    """The bright parts alone, brighter or darker by so many stops, -3 to 3."""
    strength: float = 1.0
    """How much is done, from 0, the photo as it was, to 1."""
    denoise: float = 1.0
    """How much of the noise is taken away, 0 to 1."""
    white_balance: bool = True
    """The colour of the light is corrected; --no-white-balance leaves it as it is."""

    def __post_init__(self):
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            number = isinstance(value, numbers.Real) and not isinstance(value, bool)  # to Python True is 1
            if not number or not least <= value <= most:
                raise UserError(f"{name} must be a number from {least} to {most}. Received: {value}.")
        if self.white_balance not in (True, False):
            raise UserError(f"white_balance must be True or False. Received: {self.white_balance}.")
