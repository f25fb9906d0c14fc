"""What a file may say of itself before anything of it is decoded."""

HARMLESS = 2**27
"""Bytes of a decoded picture, about, that do no harm, whatever they come from."""

LOSSLESS, JPEG, PREDICTED = 300, 600, 1500
"""Bytes of a large decoded picture per byte of its file, at the most: without loss, as JPEG, and as AVIF, HEIC, WebP
and their like. Photos have 2 to 50, those of nothing but a lens cap some 100."""


def refuse_if_too_small(width: int, height: int, needed: int, possible: float, packed: int) -> None:
    """Refuse what says that it is larger than the file can hold.

    Parameters
    ----------
    width, height : int
        What it says.
    needed : int
        Bytes of the decoded picture.
    possible : float
        Bytes that come out of such a file, at the most.
    packed : int
        Bytes of the file.

    Raises
    ------
    ValueError
    """
    if width < 1 or height < 1:
        raise ValueError(f"it says that it is {width}x{height} pixels large")
    if needed > possible and needed > HARMLESS:
        raise ValueError(f"it says that it is {width}x{height} pixels large, but holds only {packed} bytes of them")
