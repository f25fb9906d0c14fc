"""JPEG XL: what it says of itself, bit by bit, and its pixels, which the decoder gives in one of several colours."""

import os
from typing import BinaryIO

from lowlight.imaging.pixels import Levels, scaled
from lowlight.io import bmff, exif
from lowlight.io.colour import D65, PRIMARIES, SRGB, UNKNOWN, levels_of, meaning
from lowlight.io.contents import Contents
from lowlight.io.limits import PREDICTED, refuse_if_too_small
from lowlight.io.xmp import GAIN_MAP_LEFT_OUT, credentials_left_out

JPEG_XL_HEADS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")

GREY = 1
"""Number of a colour space."""

CUSTOM, D65_WHITE, DCI_WHITE = 2, 1, 11
"""Numbers of whites; `CUSTOM` of primaries, too."""

WHITES = {D65_WHITE: D65, 10: (1 / 3, 1 / 3), DCI_WHITE: (0.314, 0.351)}

BT709, BT2100, P3 = 1, 9, 11
"""Numbers of primaries."""

DISPLAY_P3 = 12
"""What primaries of P3 with a white of D65 are in ITU-T H.273."""

LINEAR = 8
"""A transfer of ITU-T H.273."""


def open_jpeg_xl(file: BinaryIO, frame: int) -> Contents:
    """The header of a JPEG XL (ISO/IEC 18181-1), of which there is picture 0 alone.

    Raises
    ------
    ValueError
        If it is broken, too small for what it says, or animated and another picture is asked for.
    """
    codestream, about = _about_jpeg_xl(file)
    header = _JpegXl(codestream)
    packed = file.seek(0, os.SEEK_END)
    refuse_if_too_small(header.width, header.height, header.height * header.width * 3, packed * PREDICTED, packed)
    said = about.get(b"Exif", b"")
    block = exif.bare(said[4:]) or exif.bare(said)  # some programs forget how far it is to its beginning, the 4 bytes
    means = meaning(cicp=header.cicp, chromaticities=header.chromaticities, gamma=header.gamma)
    notes = ["its colour profile is not read: taken for sRGB"] if header.has_profile else []
    notes += credentials_left_out(about.get(b"jumb", b""))
    if b"jhgm" in about:
        notes.append(GAIN_MAP_LEFT_OUT)
    if header.animated and frame:  # only decoding all tells how many there are, and for one too many there is no error
        raise ValueError("of an animated JPEG XL the first picture alone is; leave out --frame")
    if header.animated:
        notes.append("it is an animation, of which the first picture is read")

    def read() -> Levels:
        import imagecodecs

        file.seek(0)
        data, bits = file.read(), header.bits
        if header.is_light and header.eight_at is not None:
            data, bits = _with_12_bits(data, data.index(codestream) + 2, header.eight_at), 12
        try:
            values = imagecodecs.jpegxl_decode(data, index=0 if header.animated else None)
        except imagecodecs.JpegxlError as error:
            raise ValueError("it is cut short" if "NEED_MORE_INPUT" in str(error) else error) from error
        values = values.reshape(*values.shape[:2], -1)
        values = scaled(values, 1 if values.dtype.kind == "f" else 2**bits - 1)
        return levels_of(values, 1 if values.shape[2] < 3 else 3, means, True, notes)

    return Contents(
        size=(header.height, header.width),
        read=read,
        suffix=".png",
        exif=block,
        xmp=about.get(b"xml ", b""),
        tagged=means.tagged,
        notes=notes,
    )


def _about_jpeg_xl(file) -> tuple[bytes, dict[bytes, bytes]]:
    """The beginning of the pixels, and the first box of each kind, if it is a file of boxes."""
    file.seek(0)
    head = file.read(bmff.BEGINNING)
    if head.startswith(JPEG_XL_HEADS[0]):
        return head, {}
    about: dict[bytes, bytes] = {}
    for kind, data in bmff.boxes(file):
        packed_kind = data[:4] if kind == b"brob" else b""
        about.setdefault(packed_kind or kind, _unpacked(data[4:]) if packed_kind else data)
    codestream = about.get(b"jxlc") or about.get(b"jxlp", b"")[4:]
    if not codestream:
        raise ValueError("it has no picture")
    return codestream, about


def _unpacked(data) -> bytes:
    """EXIF or XMP of a JPEG XL as most programs pack it (ISO/IEC 18181-2); nothing where it is broken or a bomb."""
    import imagecodecs

    try:
        return bytes(imagecodecs.brotli_decode(data, out=bmff.LARGEST))
    except imagecodecs.BrotliError:
        return b""


def _with_12_bits(data, start, place) -> bytes:
    """The same light in finer steps; a header says 12 in as many bits as 8, of which the second is another."""
    made = bytearray(data)
    made[start + (place + 1) // 8] |= 1 << (place + 1) % 8
    return bytes(made)


class _JpegXl:
    """The beginning of a codestream, bit by bit: size, depth and colours (ISO/IEC 18181-1, annexes A and D)."""

    def __init__(self, data: bytes):
        self.number, self.place, self.length = int.from_bytes(data[2:4096], "little"), 0, 8 * len(data[2:4096])
        self.cicp: tuple[int, int] | None = None
        self.chromaticities: tuple[float, ...] = ()
        self.gamma: float | None = None
        self.bits, self.has_profile, self.animated = 8, False, False
        self.is_light = False  # that of sRGB's primaries, which the decoder gives where it cannot use a profile
        self.eight_at: int | None = None  # where it says that there are 8 bits
        self.width, self.height = self._size()
        if not self._bits(1):  # not all as by default
            self._metadata()

    def _bits(self, count) -> int:
        if self.place + count > self.length:
            raise ValueError("a JPEG XL that is cut short")
        value = (self.number >> self.place) & ((1 << count) - 1)
        self.place += count
        return value

    def _u32(self, *choices) -> int:
        """Of four pairs of what is added to how many bits."""
        plus, count = choices[self._bits(2)]
        return plus + (self._bits(count) if count else 0)

    def _enum(self) -> int:
        return self._u32((0, 0), (1, 0), (2, 4), (18, 6))

    def _size(self):
        small = self._bits(1)

        def side():
            return 8 * (self._bits(5) + 1) if small else self._u32((1, 9), (1, 13), (1, 18), (1, 30))

        height = side()
        ratio = self._bits(3)
        if not ratio:
            return side(), height
        above, below = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height * above // below, height

    def _metadata(self):
        if self._bits(1):  # more fields
            turned = self._bits(3) + 1
            if turned > 4:  # which decoding applies
                self.width, self.height = self.height, self.width
            if self._bits(1):
                self._size()
            if self._bits(1):
                self._preview()
            if self._bits(1):
                self._animation()
        place = self.place
        self.bits = self._depth()
        self.eight_at = place + 1 if self.bits == 8 and self.place == place + 3 else None
        self._bits(1)
        for _ in range(self._u32((0, 0), (1, 0), (2, 4), (1, 12))):
            self._extra_channel()
        by_eye = bool(self._bits(1))  # XYB, of which the decoder makes other colours
        if not self._bits(1):
            self._colours(by_eye)

    def _preview(self):
        eighths = self._bits(1)
        choices = ((16, 0), (32, 0), (1, 5), (33, 9)) if eighths else ((1, 6), (65, 8), (321, 10), (1345, 12))
        self._u32(*choices)
        if not self._bits(3):
            self._u32(*choices)

    def _animation(self):
        self.animated = True
        self._u32((100, 0), (1000, 0), (1, 10), (1, 30))
        self._u32((1, 0), (1001, 0), (1, 8), (1, 10))
        self._u32((0, 0), (0, 3), (0, 16), (0, 32))
        self._bits(1)

    def _depth(self) -> int:
        if self._bits(1):
            bits = self._u32((32, 0), (16, 0), (24, 0), (1, 6))
            self._bits(4)
            return bits
        return self._u32((8, 0), (10, 0), (12, 0), (1, 6))

    def _extra_channel(self):
        if self._bits(1):
            return
        kind = self._enum()
        self._depth()
        self._u32((0, 0), (3, 0), (4, 0), (1, 3))
        self._bits(8 * self._u32((0, 0), (0, 4), (16, 5), (48, 10)))
        if kind == 0:
            self._bits(1)
        elif kind == 2:
            self._bits(4 * 16)
        elif kind == 5:
            self._u32((1, 0), (0, 2), (3, 4), (19, 8))

    def _colours(self, by_eye):
        with_profile, space = bool(self._bits(1)), self._enum()
        self.has_profile, self.is_light = with_profile and not by_eye, with_profile and by_eye
        if self.is_light:
            self.cicp = (BT709, LINEAR)
        if with_profile or space > GREY:
            return
        kind = self._enum()
        white = self._point() if kind == CUSTOM else WHITES.get(kind)
        number = BT709 if space == GREY else self._enum()
        primaries = PRIMARIES.get(DISPLAY_P3 if number == P3 else number)
        if number == CUSTOM:
            primaries = (*self._point(), *self._point(), *self._point())
        self.gamma = self._bits(24) / 1e7 if self._bits(1) else None
        transfer = UNKNOWN if self.gamma else self._enum()
        if kind in (D65_WHITE, DCI_WHITE) and number in (BT709, BT2100, P3) and not self.gamma:
            if (number, transfer) not in ((BT709, SRGB), (BT709, UNKNOWN)):
                self.cicp = (DISPLAY_P3 if number == P3 else number, transfer)
        elif white and primaries and transfer in (UNKNOWN, SRGB):
            self.chromaticities = (*white, *primaries)
        else:
            self.has_profile, self.gamma = True, None

    def _point(self) -> tuple[float, float]:
        x, y = (self._u32((0, 19), (524288, 19), (1048576, 20), (2097152, 21)) for _ in range(2))
        return _signed(x) / 1e6, _signed(y) / 1e6


def _signed(number) -> int:
    return number >> 1 if number % 2 == 0 else -(number >> 1) - 1
