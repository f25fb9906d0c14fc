"""The sRGB curve (IEC 61966-2-1): from the values of a file to linear light, and back."""

import numpy as np


def decoded(signal: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values, both float arrays in [0, 1] of one shape."""
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


_LINEAR = decoded(np.arange(256) / 255)


def to_linear(photo: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Linear light in [0, 1], of a float type, of an sRGB photo (uint8), of the same shape."""
    return _LINEAR.astype(dtype)[photo]


def to_srgb(light: np.ndarray, rounded: bool = True) -> np.ndarray:
    """The sRGB photo of linear light, clipped to [0, 1]: uint8, or floats as they came if it is not to be rounded."""
    light = np.clip(light, 0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8) if rounded else encoded
