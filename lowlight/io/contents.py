"""What every reader gives: a photo whose header is read, its pixels not yet."""

from collections.abc import Callable
from dataclasses import dataclass, field

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
