"""Clips in: what a file says of its pictures, and its frames upright as RGB. `clip_write` has the way out."""

import math
import os
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lowlight.imaging.transfer import HLG, PQ, pq_to_nits, scene_to_hlg
from lowlight.io import bmff, clip_end, side_data
from lowlight.io.photo import LARGEST_MEGAPIXELS, ImageError

CODECS = {8: "libx264", 10: "libx265", 12: "libx265"}
"""By the bits of a channel: H.264 shows everywhere, and of more than 8 bits HEVC is what players know."""

SITED = ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "prores", "dvvideo")
"""Codecs whose frames of 4:2:0 say where between pixels their colour lies. What does not say it is read as if it were
in the middle, and must be written so, for it to be shown where it was."""

RGB, BT709 = 0, 1
"""Of AVColorSpace."""

LIMITED, FULL = 1, 2
"""The range of video levels, 16 to 235, and that of all levels, as FFmpeg numbers them."""

PROGRESSIVE = 1
"""Of AVFieldOrder; 0 says nothing, what is above is interlaced."""

HLG_PEAK = 1000.0
"""Nits that full HLG stands for here (ITU-R BT.2408): brighter light of a PQ clip is cut off there."""

SCALER_WHITE = 255 << 8
"""What FFmpeg's scaler has for white of video levels in RGB of 16 bits, and takes for it."""

OFTEN_LIMITED = ("h264", "hevc", "vp9", "av1")
"""Codecs whose grey has video levels unless it is said to be full; the scaler takes all grey for full."""

WITHOUT_ORDER = ("avi", "asf")
"""Containers that say when a frame is decoded, and not when it is shown, for which B-frames have another order."""

BARE = ("h264", "hevc")
"""Frames without a container: nothing says when they are shown."""

JUMP = 10.0
"""Seconds from one frame of a broadcast to the next that are none: a broken time, or another recording (FFmpeg's own
program has as many, `dts_delta_threshold`)."""

BROKEN_OFF = "its end is missing: the recording was broken off, or the file is cut short"

MISSING = 0.5
"""Seconds that a whole clip may be shorter than its header says."""


class Frame(NamedTuple):
    """A frame of a clip."""

    pixels: np.ndarray
    """(H, W, 3) uint8, or uint16 where the clip has more than 8 bits; upright, and with its own colours, but PQ, in
    which a dark scene hardly looks dark, as HLG."""
    pts: int
    """When it is shown, in units of the clip's time base; each later than the one before."""
    turned: bool
    """Whether it had lain on its side."""
    damaged: bool = False
    """Whether its decoder had to make up a part of it, or of one just before that is not there."""


class Head(NamedTuple):
    """What a clip says of its pictures."""

    base: Fraction
    """Seconds in a unit of time."""
    rate: Fraction
    """Frames a second, on average."""
    aspect: Fraction
    """Width of a pixel by its height, before it is turned."""
    colours: tuple[int, int, int]
    """Matrix, primaries and curve, as FFmpeg numbers them."""
    depth: int
    """Bits a channel that are kept: 8, 10 or 12."""
    chroma: str
    """Where colour is kept: "444" at each pixel, "422" at half the width, "420" at half of both sides."""
    frames: int
    """About how many there are."""
    siting: str
    """Where written colour lies that two pixels share: "left" of them, as players take it, or in the "center"."""
    notes: tuple[str, ...]
    """What is not kept, each as a phrase."""
    mastering: str = ""
    """The screen that an HDR clip was made on, as x265 takes it (SMPTE ST 2086); empty if that is not said."""


def read_head(path: Path) -> Head:
    """What a clip says of its pictures, after a look at all its packets.

    Raises
    ------
    ImageError
        If the file is no clip, is cut short or too large, or PyAV is not installed.
    """
    with reading(path) as container:
        stream = container.streams.best("video")
        codec = stream.codec_context
        if codec is None:
            raise ImageError(f"{path} cannot be read: there is no decoder for its pictures.")
        if codec.width * codec.height > LARGEST_MEGAPIXELS * 1e6:
            size = f"{codec.width}x{codec.height}"
            raise ImageError(f"{path} is too large: {size} pixels, above {LARGEST_MEGAPIXELS} megapixels.")
        form = codec.format
        if form is None or not codec.width * codec.height:
            raise ImageError(f"{path} cannot be read: it does not say what its pictures are like, or is broken.")
        colours = (BT709 if codec.colorspace == RGB else codec.colorspace, codec.color_primaries, codec.color_trc)
        bits = max(part.bits for part in form.components)
        chroma = _chroma(form, bits)
        said, hdr = _said_first(path), colours[2] in (PQ, HLG)
        frames, whole = _count(container, stream, path)
        depth = 10 if hdr else 8
        return Head(
            base=stream.time_base,
            rate=_rate(stream),
            aspect=stream.sample_aspect_ratio or Fraction(1),
            colours=colours,
            depth=next((kept for kept in CODECS if kept >= max(bits, depth)), max(CODECS)),
            chroma=chroma,
            frames=frames,
            siting="left" if codec.name in SITED and (codec.name, chroma) != ("hevc", "422") else "center",
            notes=_notes(container, stream, form) + side_data.left_out(said, hdr) + (() if whole else (BROKEN_OFF,)),
            mastering=side_data.mastering(said) if hdr else "",
        )


def read_frames(path: Path) -> Iterator[Frame]:
    """The frames of a clip.

    Raises
    ------
    ImageError
        If one cannot be read.
    """
    from av.video.reformatter import VideoReformatter

    with reading(path) as container, _complaints() as complaints, closing(_decoded(container)) as frames:
        stream = container.streams.best("video")
        step = max(1, round(1 / _rate(stream) / stream.time_base))
        far = step + gap(container) / stream.time_base
        scaler, last = VideoReformatter(), None
        for frame in frames:
            pts = _shown(frame, container.format.name, stream.codec_context.reorder_depth * step)
            if pts is None or (last is not None and not last < pts < last + far):
                pts = 0 if last is None else last + step
            matrix = _display_matrix(frame)
            pixels = _upright(_pixels(frame, scaler, stream.codec_context), matrix)
            damaged = bool(complaints)
            complaints.clear()
            yield Frame(pixels, pts, _is_turned(matrix), damaged)
            last = pts


def _rate(stream) -> Fraction:
    """Frames a second, on average; of a .dv FFmpeg gives units of time a second as that, and guesses right."""
    average, guessed = stream.average_rate, stream.guessed_rate
    return guessed if average and guessed and average > 2 * guessed else average or guessed or Fraction(30)


def _shown(frame, form, delay) -> int | None:
    """When a frame is shown; if its container does not say so, when its decoder gave it, less its delay.

    What writes an ASF puts the sound off by that delay; in an .avi all begins at 0.
    """
    if form not in WITHOUT_ORDER:
        return frame.pts
    return None if frame.dts is None else frame.dts - (delay if form == "avi" else 0)


def gap(container) -> float:
    """Seconds without a frame or sound in a container whose times may begin anew; what is longer was not recorded."""
    from av.format import Flags

    return JUMP if container.format.flags & Flags.ts_discont.value else math.inf


def _decoded(container) -> Generator[Any, None, None]:
    """Frames, also from behind a packet that is so broken that nothing of it can be decoded."""
    from av.error import InvalidDataError

    stream = container.streams.best("video")
    stream.thread_type = "AUTO"
    try:
        for packet in container.demux(stream):
            with suppress(InvalidDataError):
                yield from packet.decode()
    finally:  # threads that complain wait for Python, which would wait for them for ever as it lets go of the decoder
        stream.codec_context.flush_buffers()


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    """The opened clip; what goes wrong with it, then or later, is told in one line."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise ImageError(f"{path} needs av to be read. Install it: pip install av") from error
    try:
        with av.open(str(path.absolute())) as container:  # FFmpeg takes what is before a colon for a protocol
            if all(_is_cover(stream) for stream in container.streams.video):
                why = _why_broken(path)
                but = " but a cover" if container.streams.video else ""
                no_clip = f"is not a clip, whatever its name says: there is no picture in it{but}"
                raise ImageError(f"{path} {f'cannot be read: {why}' if why else no_clip}.")
            yield container
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be read: {_why_broken(path) or reason(error)}.") from error


def _is_cover(stream) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


@contextmanager
def _complaints() -> Iterator[list]:
    """What decoders say is wrong with what they decode, as it comes; they go on all the same."""
    from av import logging

    before = logging.get_level()
    logging.set_level(logging.ERROR)
    try:
        with logging.Capture(local=False) as complaints:  # also what they say in threads of their own
            yield complaints
    finally:
        logging.set_level(before)


def _why_broken(path) -> str | None:
    """What FFmpeg only calls invalid data, of the kinds that people have."""
    with suppress(OSError), path.open("rb") as file:
        kinds = [kind for kind, _ in bmff.boxes(file)]
        if not file.seek(0, os.SEEK_END):
            return "it is empty"
        if kinds[:1] == [b"ftyp"] and b"moov" not in kinds:
            return "its index is missing: the recording was broken off, or the file is cut short"
        if kinds[-1:] == [b"moov"] and bmff.is_cut(file):
            return "its index is cut short"
    return None


def reason(error: BaseException) -> str:
    """What FFmpeg or the system says went wrong."""
    import av

    while isinstance(error, av.error.PyAVCallbackError) and error.__context__:
        error = error.__context__  # what went wrong first; to close the file fails once more, and says less
    return getattr(error, "strerror", None) or str(error).strip() or type(error).__name__


def _accurate() -> int:
    """Without these, FFmpeg's scaler makes pictures 1.2 levels of 255 too dark and smears their colour."""
    from av.video.reformatter import Interpolation as How

    return int(How.BICUBIC | How.ACCURATE_RND | How.FULL_CHR_H_INT | How.FULL_CHR_H_INP)


def _pixels(frame, scaler, codec) -> np.ndarray:
    """As RGB, (H, W, 3) uint8 or uint16, from black to white."""
    form = frame.format
    bits = max(part.bits for part in form.components)
    deep = bits > 8 or codec.color_trc == PQ
    top = 65535 if deep else 255
    full, grey = frame.color_range == FULL, len(form.components) < 3
    black, white = 0, top
    if grey and not full and codec.name in OFTEN_LIMITED:
        black, white = (16 << 8, 235 << 8) if deep else (16, 235)
    elif deep and not form.is_rgb:
        white = ((1 << bits) - 1) << (16 - bits) if full or grey else SCALER_WHITE
    pixels = scaler.reformat(frame, format="rgb48le" if deep else "rgb24", interpolation=_accurate()).to_ndarray()
    if (black, white) == (0, top) and codec.color_trc != PQ:
        return pixels
    return np.take(_as_read(top, black, white, codec.color_trc), pixels)


def _chroma(form, bits) -> str:
    """As in the clip; but of 8 bits, where 4:2:2 shows in few players, at half of both sides."""
    if form.is_rgb:
        return "444"
    if len(form.components) < 3:
        return "420"
    halves = form.chroma_width(16) < 16, form.chroma_height(16) < 16
    if halves == (False, False):
        return "444"
    return "422" if halves == (True, False) and bits > 8 else "420"


def _notes(container, stream, form) -> tuple[str, ...]:
    notes = []
    if max(part.bits for part in form.components) > max(CODECS):
        notes.append(f"its depth is kept to {max(CODECS)} bits")
    if any(part.is_alpha for part in form.components) or stream.metadata.get("alpha_mode") == "1":
        notes.append("its transparency is left out")
    if container.streams.subtitles:
        notes.append("its subtitles are left out")
    others = [_is_cover(other) for other in container.streams.video if other != stream]
    if True in others:
        notes.append("its cover picture is left out")
    if False in others:
        notes.append("it has several tracks of pictures, of which one is read")
    if any("timecode" not in data.metadata for data in container.streams.data) and not container.chapters():
        notes.append("its data, such as a camera's of place and motion, are left out")
    if container.format.name in BARE:
        notes.append(f"nothing says when its frames are shown: {float(_rate(stream)):g} a second are taken")
    if stream.codec_context.field_order > PROGRESSIVE:
        notes.append("it is interlaced, and its result does not say so")
    return tuple(notes)


def _said_first(path) -> dict[str, bytes]:
    """What the first frame says beside its pixels, by FFmpeg's names."""
    with reading(path) as container, closing(_decoded(container)) as frames:
        frame = next(frames, None)
        return {} if frame is None else side_data.said(frame)


def _display_matrix(frame) -> tuple[int, int, int, int]:
    """The part of it that turns: (a, b, c, d), for a point to be shown at (a x + c y, b x + d y)."""
    data = side_data.said(frame, ["DISPLAYMATRIX"]).get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    values = np.frombuffer(data, "<i4").tolist()
    return values[0], values[1], values[3], values[4]


def _is_turned(matrix) -> bool:
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)


def _upright(pixels, matrix) -> np.ndarray:
    """As the display matrix says, to the nearest quarter turn; mirrored where it mirrors."""
    a, b, c, d = matrix
    rightwards, downwards = a, d
    if _is_turned(matrix):
        pixels, rightwards, downwards = pixels.swapaxes(0, 1), c, b
    return np.ascontiguousarray(pixels[:: -1 if downwards < 0 else 1, :: -1 if rightwards < 0 else 1])


@cache
def _as_read(top: int, black: int, white: int, curve: int) -> np.ndarray:
    """What levels up to `top` mean that the scaler gives: a table of as many, from black to white, and PQ as HLG."""
    levels = np.clip((np.arange(top + 1) - black) / (white - black), 0, 1)
    return rounded(scene_to_hlg(pq_to_nits(levels) / HLG_PEAK) if curve == PQ else levels, top)


def rounded(levels: np.ndarray, top: int) -> np.ndarray:
    """Floats in [0, 1] as levels up to `top`: uint8 if that is 255, else uint16; of the same shape."""
    return np.rint(np.clip(levels, 0, 1) * top).astype(np.uint8 if top == 255 else np.uint16)


def _count(container, stream, path) -> tuple[int, bool]:
    """How many frames a clip has, about, and whether its end is whole, from a look at all its packets.

    Raises
    ------
    ImageError
        If it is shorter than its header says, or empty.
    """
    frames, end, whole = 0, 0.0, True
    for packet in container.demux():
        if packet.size:
            frames += packet.stream is stream and not packet.is_discard
            time = 0 if packet.pts is None else packet.pts + (packet.duration or 0)
            end = max(end, float(time * packet.time_base))
            # A parser gives the rest of what was corrupt without a place, and as if it were whole.
            whole = not (packet.is_corrupt or (packet.pos is None and not whole))
    # Matroska tells when the last frame ends; others how long all of them take.
    start = 0 if "matroska" in container.format.name else container.start_time or 0
    told = (start + (container.duration or 0)) / 1e6
    if not frames or end < told - MISSING:
        raise ImageError(f"{path} is cut short: its header tells of {told:.1f} s, and {end:.1f} s are there.")
    return frames, whole and not clip_end.is_cut(path, container.format.name)
