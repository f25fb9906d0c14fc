"""A photo on its way: what every reader gives, its header read and its pixels not yet; and all of it, upright."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lowlight.imaging.pixels import Levels


@dataclass
class Contents:
    """A photo whose header is read; valid while its file is open."""

    size: tuple[int, int]
    """Height and width, before `orientation` is applied."""
    read: Callable[[], Levels]
    """Decodes the pixels; raises what the decoder raises."""
    suffix: str
    """What the name of its result ends in, where nothing else is wanted."""
    exif: bytes = b""
    """As it lies in the file (TIFF header and tables), or made of the tables of a TIFF."""
    orientation: int = 1
    """1 to 8, as EXIF counts; 1 where decoding turns the photo upright."""
    xmp: bytes = b""
    iptc: bytes = b""
    """The records of IPTC (IIM), as they lie in the file."""
    comment: bytes = b""
    """What a JPEG or GIF has been given as a comment."""
    text: dict[str, str] = field(default_factory=dict)
    """The texts of a PNG, by keyword, but for XMP."""
    dpi: tuple[float, float] | None = None
    tagged: bool = False
    """Whether the file says what its colours mean; then the result does, too."""
    bits: int | None = None
    """Bits a channel, of AVIF and HEIC."""
    frames: int = 1
    """Pictures in the file, without thumbnails."""
    jpeg: tuple[int, int] | None = None
    """Quality and subsampling, if it is one (`lowlight.io.exif.jpeg_encoding`)."""
    lossless: bool = False
    """Whether the file holds its pixels without loss, in a format that can do either."""
    notes: list[str] = field(default_factory=list)
    """What a user should be told of how it was read; `read` may add to it."""
    look: Callable[[], list[str]] = list
    """What else is to be told, by a look that costs about as much as to decode the pixels."""


@dataclass(frozen=True)
class Photo:
    """A photo and what belongs to it."""

    pixels: np.ndarray
    """(H, W, 3), upright, sRGB: float32 in [0, 1], or levels (uint8 or uint16)."""
    alpha: np.ndarray | None = None
    """(H, W) uint8 or uint16, or None if the photo is opaque."""
    grey: bool = False
    """Whether the file had no colour; then what is written has none."""
    exif: bytes = b""
    """With GPS, from its byte order on. Orientation, size and colour space are set when it is written."""
    icc: bytes | None = None
    """The profile that `pixels` have, if the file said what its colours meant."""
    xmp: bytes = b""
    """Without what is not true of the pixels alone, as the orientation, videos and gain maps."""
    iptc: bytes = b""
    """Records of IPTC, as they lay in the file."""
    comment: bytes = b""
    text: dict[str, str] = field(default_factory=dict)
    """Of a PNG, by keyword."""
    dpi: tuple[float, float] | None = None
    depth: int = 8
    """Bits a channel, 8 or 16: 16 if the file had more than 8, and then written where the format can."""
    bits: int | None = None
    """Bits a channel, if the file was an AVIF or HEIC."""
    suffix: str = ".png"
    """What the name of a file of the photo's own format ends in, or of that which its result is written in."""
    quality: int | None = None
    """Of the JPEG that the photo was, as encoders count it, 1 to 100; None if it was none."""
    subsampling: int = 0
    """Of the JPEG that the photo was: colour at full resolution (0), at half the width (1), or half of both (2)."""
    lossless: bool = False
    """Whether the file held its pixels without loss in a format that can do either, as JPEG and WebP."""
    notes: tuple[str, ...] = ()
    """What a user should be told of how it was read."""
