"""XMP that is still true of what is written: nothing of videos, gain maps, turns and sizes that are gone."""

import re
from xml.parsers import expat

GAIN_MAP = (
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.apple.com/HDRGainMap/1.0/",
    "http://ns.apple.com/HDRToneMap/1.0/",
)

GAIN_MAP_MARKS = (
    *(name.encode() for name in GAIN_MAP),
    b"urn:iso:std:iso:ts:21496:-1",  # in a JPEG, by ISO 21496-1
    b"\0\0tmap",  # an item of a HEIC or AVIF, by the same
    b":aux:hdrgainmap",  # Apple's in a HEIC
)

GAIN_MAP_LEFT_OUT = "its gain map for HDR screens is left out"

DEPTH_MARKS = (
    b"http://ns.google.com/photos/1.0/depthmap/",
    b"http://ns.google.com/photos/dd/1.0/",
    b"http://ns.apple.com/depthData/1.0/",
    b"urn:mpeg:hevc:2015:auxid:2",
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth",
)

SAMSUNG_VIDEO = b"MotionPhoto_Data"
"""Before the video of an older motion photo, of which no XMP speaks."""

CREDENTIALS = b"jumdc2pa"
"""What the box begins with that they are in (C2PA 2.1, 11.1.4.2), in a file of any format."""

CREDENTIALS_LEFT_OUT = "its content credentials (C2PA) are left out: they vouch for the file as it was"

CAMERA = "http://ns.google.com/photos/1.0/camera/"
CONTAINER = "http://ns.google.com/photos/1.0/container/"
ITEM = "http://ns.google.com/photos/1.0/container/item/"
OF_THE_FILE = (
    CONTAINER,
    ITEM,
    "http://ns.google.com/photos/dd/1.0/container/",
    "http://ns.google.com/photos/dd/1.0/item/",
    "http://ns.google.com/photos/dd/1.0/device/",
    "http://ns.google.com/photos/1.0/image/",
    "http://ns.google.com/photos/1.0/depthmap/",
    "http://ns.google.com/photos/1.0/audio/",
    "http://ns.adobe.com/xap/1.0/g/img/",
    "http://ns.adobe.com/xmp/note/",
)
"""Names of what describes other parts of a file, or lies in other parts, than its picture."""

UNTRUE = {
    "http://ns.adobe.com/tiff/1.0/": {
        *("Orientation", "ImageWidth", "ImageLength", "BitsPerSample", "Compression"),
        *("PhotometricInterpretation", "SamplesPerPixel", "PlanarConfiguration", "YCbCrSubSampling"),
    },
    "http://ns.adobe.com/exif/1.0/": {"PixelXDimension", "PixelYDimension", "ColorSpace"},
    "http://ns.adobe.com/photoshop/1.0/": {"ICCProfile", "ColorMode"},
    "http://ns.adobe.com/xap/1.0/": {"Thumbnails"},
    "http://purl.org/dc/terms/": {"provenance"},  # where its content credentials are
}

MOTION = re.compile(r"(MotionPhoto|MicroVideo)")

PLAIN_ORIENTATION = re.compile(rb'\s*tiff:Orientation="\d*"|<tiff:Orientation>\d*</tiff:Orientation>')
"""For what is no XML."""

LARGEST = 2**24


def truthful(xmp: bytes) -> bytes:
    """XMP without what is not true of the picture alone, upright and in sRGB; all else stays as it is, to the byte.

    What is no XML loses its orientation; what declares entities is left out.
    """
    if b"<!ENTITY" in xmp or len(xmp) > LARGEST:
        return b""
    body = xmp.strip(b"\0 \n\r\t")
    try:
        cuts = _Cuts(body).found
    except expat.ExpatError:
        return PLAIN_ORIENTATION.sub(b"", xmp)
    if not cuts:
        return xmp
    kept, place = [], 0
    for start, end in sorted(cuts):
        if start >= place:
            kept.append(body[place:start])
        place = max(place, end)
    return b"".join([*kept, body[place:]])


def left_out(data: bytes) -> list[str]:
    """What a file has beside its picture, and nothing reads or writes: a line for each.

    Parameters
    ----------
    data : bytes
        Its XMP and whatever else may say so: all of a JPEG, the list of items of a HEIC.
    """
    told = []
    if any(mark in data for mark in GAIN_MAP_MARKS):
        told.append(GAIN_MAP_LEFT_OUT)
    if SAMSUNG_VIDEO in data or re.search(rb"(MotionPhoto|MicroVideo)\s*(=\s*[\"']|>\s*)1", data):
        told.append("its video (motion photo) is left out")
    if any(mark in data for mark in DEPTH_MARKS):
        told.append("its depth map is left out")
    return told


def credentials_left_out(data: bytes) -> list[str]:
    """A line if a file, or the part of it that may hold them, has signed credentials of who or what made it."""
    return [CREDENTIALS_LEFT_OUT] if CREDENTIALS in data else []


def _is_untrue(name) -> bool:
    space, _, local = name.rpartition(" ")
    if space in GAIN_MAP or space in OF_THE_FILE or local in UNTRUE.get(space, ()):
        return True
    return space == CAMERA and bool(MOTION.match(local))


class _Cuts:
    """Walks XML and remembers from where to where it is to be cut."""

    def __init__(self, body: bytes):
        self.within: int | None = None
        self.body, self.depth = body, 0
        self.found: list[tuple[int, int]] = []
        self.start = 0
        self.prefixes: dict[str, list[str]] = {}
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartNamespaceDeclHandler = self._declared
        self.parser.StartElementHandler = self._begun
        self.parser.EndElementHandler = self._ended
        self.parser.Parse(body, True)

    def _declared(self, prefix, uri):
        self.prefixes.setdefault(uri, []).append(prefix or "")

    def _begun(self, name, attributes):
        self.depth += 1
        if self.within is not None:
            return
        place = self.parser.CurrentByteIndex
        end = _end_of_tag(self.body, place)
        if _is_untrue(name):
            if self.body[end - 2 : end] == b"/>":
                self.found.append((place, end))
            else:
                self.within, self.start = self.depth, place
            return
        for attribute in attributes:
            if _is_untrue(attribute):
                space, _, local = attribute.rpartition(" ")
                for prefix in self.prefixes.get(space, []):
                    pattern = rf"\s+{re.escape(prefix)}:{re.escape(local)}\s*=\s*(\"[^\"]*\"|'[^']*')".encode()
                    self.found += [match.span() for match in re.compile(pattern).finditer(self.body, place, end)]

    def _ended(self, name):
        if self.within == self.depth:
            self.found.append((self.start, _end_of_tag(self.body, self.parser.CurrentByteIndex)))
            self.within = None
        self.depth -= 1


def _end_of_tag(body, place) -> int:
    """After the > of the tag that begins at `place`; there may be others in its values."""
    match = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>").match(body, place)
    return match.end() if match else len(body)
