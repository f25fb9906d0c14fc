"""Settings for kinds of photos and of machines, by the options' names; the command line and files come before them."""

from collections.abc import Mapping

Preset = dict[str, float | bool | str]

PHOTOS: dict[str, Preset] = {
    "natural": {"strength": 0.8, "highlights": -0.3, "denoise": 0.8},
    "bright": {"exposure": 0.5, "shadows": 0.5},
    "night": {"strength": 0.5, "white_balance": False},
    "documents": {"exposure": 0.4},
}
"""natural: closer to the photo, with some of its noise; bright: for photos that come out too dark; night: lights stay
lights, and their colour stays, nor is a night that the model leaves dark made darker; documents: white paper."""

MACHINES: dict[str, Preset] = {
    "colab-t4": {"minutes": 60, "mixed_precision": True, "batch_scale": 4, "workers": 2},
    "h100": {"minutes": 30, "mixed_precision": True, "batch_scale": 8, "workers": 12, "devices": "all"},
}
"""To train on a GPU. They follow from its arithmetic and its machine's cores, and have not been measured there."""

PRESETS: Mapping[str, Mapping[str, Preset]] = {"enhance": PHOTOS, "train": MACHINES, "measure": MACHINES}
"""By command."""
