"""The sRGB curve (IEC 61966-2-1): from the 8-bit values of a file to linear light, and back."""

import numpy as np

_LINEAR = np.arange(256) / 255
_LINEAR = np.where(_LINEAR <= 0.04045, _LINEAR / 12.92, ((_LINEAR + 0.055) / 1.055) ** 2.4)


def to_linear(photo: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Linear light in [0, 1], of a float type, of an sRGB photo (uint8), of the same shape (IEC 61966-2-1)."""
    return _LINEAR.astype(dtype)[photo]


def to_srgb(light: np.ndarray, rounded: bool = True) -> np.ndarray:
    """The sRGB photo of linear light, clipped to [0, 1]: uint8, or floats as they came if it is not to be rounded."""
    light = np.clip(light, 0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8) if rounded else encoded
