"""The curves of high dynamic range: PQ (SMPTE ST 2084) and HLG (ITU-R BT.2100), from signal to light and back."""

import numpy as np

PQ, HLG = 16, 18
"""Their numbers as transfer characteristics (ITU-T H.273)."""

PQ_NITS = 10_000.0
"""What a PQ signal of 1 stands for."""

M1, M2 = 2610 / 16384, 2523 / 32
C1, C2, C3 = 107 / 128, 2413 / 128, 2392 / 128
"""Constants of PQ."""

A, B, C = 0.17883277, 0.28466892, 0.55991073
"""Constants of HLG."""


def pq_to_nits(signal: np.ndarray) -> np.ndarray:
    """Nits, 0 to 10,000, of a PQ signal in [0, 1]; any shape."""
    root = signal ** (1 / M2)
    return PQ_NITS * (np.maximum(root - C1, 0) / (C2 - C3 * root)) ** (1 / M1)


def nits_to_pq(nits: np.ndarray | float) -> np.ndarray:
    """The PQ signal in [0, 1] of nits, 0 to 10,000; a number or any shape."""
    power = np.asarray(nits / PQ_NITS) ** M1
    return ((C1 + C2 * power) / (1 + C3 * power)) ** M2


def hlg_to_scene(signal: np.ndarray) -> np.ndarray:
    """Scene light in [0, 1] of an HLG signal in [0, 1]; any shape."""
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - C) / A) + B) / 12)


def scene_to_hlg(light: np.ndarray) -> np.ndarray:
    """The HLG signal of scene light, 1 for 1; any shape."""
    bright = A * np.log(np.maximum(12 * light, 1) - B) + C
    return np.where(light <= 1 / 12, np.sqrt(3 * light), bright)
