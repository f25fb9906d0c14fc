"""HEIC and AVIF, with all of their bits."""

import os
from typing import BinaryIO

import numpy as np
from PIL import Image

from lowlight.imaging.pixels import Levels, scaled, unassociated
from lowlight.io import bmff, exif
from lowlight.io.colour import Meaning, levels_of, meaning
from lowlight.io.contents import Contents
from lowlight.io.limits import PREDICTED, refuse_if_too_small
from lowlight.io.pillow import decode
from lowlight.io.xmp import credentials_left_out, left_out

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"MiHE", b"MiHB")


def is_heic(head: bytes) -> bool:
    """Whether a file that begins so (at least 64 bytes) is a HEIC."""
    return head[4:8] == b"ftyp" and not is_avif(head) and any(brand in head for brand in HEIC_BRANDS)


def is_avif(head: bytes) -> bool:
    """Whether a file that begins so (at least 64 bytes) is an AVIF."""
    return head[4:8] == b"ftyp" and (b"avif" in head or b"avis" in head)


def register_heic() -> None:
    """Have Pillow read and write HEIC.

    Raises
    ------
    ModuleNotFoundError
        If pillow-heif is not installed.
    """
    import pillow_heif

    pillow_heif.register_heif_opener()


def open_heif(file: BinaryIO, head: bytes, frame: int | None) -> Contents:
    """The header of a HEIC or AVIF; of several pictures the one that the file says is the main one, unless told.

    Raises
    ------
    ModuleNotFoundError
        If pillow-heif is not installed, for HEIC.
    """
    avif = is_avif(head)
    frame = (frame or 0) if avif else frame
    still = bmff.still(file)
    packed = file.seek(0, os.SEEK_END)
    if still.size:
        height, width = still.size
        refuse_if_too_small(width, height, height * width * 3, packed * PREDICTED, packed)
    if not avif:
        register_heic()
    file.seek(0)
    image = Image.open(file, formats=["AVIF" if avif else "HEIF"])
    said = exif.bare(image.info.get("exif") or b"")
    block = exif.bare(bmff.exif(file)) or said if avif else said  # Pillow writes that of a turned AVIF anew
    means = meaning(still.icc or image.info.get("icc_profile"), still.cicp, exif=block, as_video=True)
    xmp = image.info.get("xmp") or b""
    notes = left_out(xmp + bmff.items(file))
    notes += credentials_left_out(b"".join(data for kind, data in bmff.boxes(file) if kind == b"uuid"))
    frames = getattr(image, "n_frames", 1)

    def read() -> Levels:
        if frame is not None and frames > 1:
            image.seek(frame)
        if still.bits <= 8:
            return decode(image, means, notes)
        return _deep(file, avif, frame if frames > 1 else None, still.bits, means, notes)

    return Contents(
        size=(image.height, image.width),
        read=read,
        suffix=".avif" if avif else ".heic",
        exif=block,
        orientation=exif.orientation(said) if avif else 1,
        xmp=xmp,
        tagged=means.tagged,
        bits=still.bits,
        frames=frames,
        notes=notes,
    )


def _deep(file, avif, frame, bits, means: Meaning, notes) -> Levels:
    file.seek(0)
    premultiplied = False
    if avif:
        import imagecodecs

        try:
            values = imagecodecs.avif_decode(file.read())  # all: to ask for one breaks memory where colour is deep
        except imagecodecs.AvifError as error:
            raise ValueError(error) from error
        if frame is not None:
            values = values[frame]
        white = 2**bits - 1
    else:
        import pillow_heif

        heic = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
        picture = heic if frame is None else heic[frame]
        values, premultiplied = np.asarray(picture), picture.premultiplied_alpha
        white = (2**bits - 1) << (16 - bits)
    values = scaled(values.reshape(*values.shape[:2], -1), white)
    colours = 1 if values.shape[2] < 3 else 3
    if premultiplied:
        values = unassociated(values, colours)
    return levels_of(values, colours, means, True, notes)
