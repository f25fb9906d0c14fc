"""Settings for kinds of photos, by the options' names; what the command line or a file says comes before them."""

PRESETS: dict[str, dict[str, float | bool]] = {
    "natural": {"strength": 0.8, "highlights": -0.3, "denoise": 0.8},
    "bright": {"exposure": 0.5, "shadows": 0.5},
    "night": {"exposure": -1.5, "white_balance": False},
    "documents": {"exposure": 0.4},
}
"""natural: closer to the photo, with some of its noise; bright: for photos that come out too dark; night: lights stay
lights, and their colour stays; documents: white paper."""
