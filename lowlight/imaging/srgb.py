"""The sRGB curve (IEC 61966-2-1): from the values of a file to linear light, and back."""

import numpy as np


def decoded(signal: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values, both float arrays in [0, 1] of one shape."""
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def encoded(light: np.ndarray) -> np.ndarray:
    """sRGB values of linear light, both float arrays in [0, 1] of one shape."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


_LINEAR = decoded(np.arange(256) / 255)
_ENCODED = encoded(np.arange(2**16) / (2**16 - 1)).astype(np.float32)


def to_linear(photo: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Linear light in [0, 1], of a float type, of an sRGB photo (uint8), of the same shape."""
    return _LINEAR.astype(dtype).take(photo)


def to_srgb(light: np.ndarray, rounded: bool = True) -> np.ndarray:
    """The sRGB photo of linear light, clipped to [0, 1]: uint8, or floats as they came if it is not to be rounded.

    Of float32 it is looked up, which is several times as fast, and right to a thirtieth of a level of 255.
    """
    light = np.clip(light, 0, 1)
    if light.dtype == np.float32:
        photo = _ENCODED.take((light * np.float32(len(_ENCODED) - 1) + np.float32(0.5)).astype(np.uint16))
    else:
        photo = encoded(light)
    return np.round(photo * 255).astype(np.uint8) if rounded else photo
