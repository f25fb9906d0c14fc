"""Enhance a clip frame by frame, in segments that outlast an interruption; sound and times stay as they are."""

import hashlib
import heapq
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import count, groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lowlight.inference.temporal import Smoothing
from lowlight.io.photo import ImageError

WRITTEN = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""The containers that results are written in, by the end of the name."""

VIDEO_SUFFIXES = frozenset(
    {*WRITTEN, ".3gp", ".avi", ".flv", ".m2ts", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
"""What is taken for a clip, by the end of the name."""

CODEC, OPTIONS = "libx264", {"crf": "18", "preset": "medium", "bf": "0"}
"""H.264 whose loss is hardly seen. Without B-frames packets are in the order of their times: segments just add up."""

SEGMENT = 100
"""Frames that an interruption costs at most."""

MISSING = 0.5
"""Seconds that a whole clip may be shorter than its header says."""

SPACES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
"""Colour matrices of FFmpeg's frames (AVColorSpace) by the numbers that its scaler has for them (SWS_CS)."""

LIMITED = 1
"""The range of video levels, 16 to 235, as FFmpeg numbers it."""


class Frame(NamedTuple):
    """A frame of a clip."""

    pixels: np.ndarray
    """(H, W, 3) uint8, or uint16 where the clip has more than 8 bits; upright, and with its own colours."""
    pts: int
    """When it is shown, in units of the clip's time base; each later than the one before."""
    turned: bool
    """Whether it had lain on its side."""


Run = Callable[[np.ndarray, np.ndarray], np.ndarray]


def is_clip(path: Path) -> bool:
    """Whether a file is taken for a clip, by the end of its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def clip_suffix(suffix: str) -> str:
    """What the name of a result ends in: the same where that can be written, else .mkv, which holds any sound."""
    return suffix if suffix.lower() in WRITTEN else ".mkv"


class Clip:
    """A clip on its way: what is done of it waits in a hidden folder beside its target, also for a later run.

    Parameters
    ----------
    source, target : Path
    recipe : str
        All that the result depends on beside the clip; what a run with another one has left is thrown away.

    Raises
    ------
    ImageError
        If the file is no clip or is cut short, the target's container is not known, or PyAV is not installed.
    """

    def __init__(self, source: Path, target: Path, recipe: str):
        self.source, self.target = source, target
        if target.suffix.lower() not in WRITTEN:
            known = ", ".join(sorted(WRITTEN))
            raise ImageError(f"Clips cannot be written so. Received: {target.name}. Known: {known}.")
        with _reading(source) as container:
            stream = container.streams.best("video")
            self.base, self.rate = stream.time_base, stream.average_rate or Fraction(30)
            self.aspect = stream.sample_aspect_ratio or Fraction(1)
            looks = stream.codec_context
            self.colours = looks.colorspace, looks.color_primaries, looks.color_trc
            self.frames = _count(container, stream, source)
        digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
        self.folder = target.with_name(f".{digest}.part")
        status = source.stat()
        self.recipe = f"{source.absolute()} {status.st_size} {status.st_mtime_ns} {recipe}"
        self.smoothing = Smoothing()

    def look(self) -> Iterator[Frame]:
        """Take in how bright all frames are, so that each is decided by what comes before and after; give each.

        Raises
        ------
        ImageError
            If a frame cannot be read.
        """
        self.smoothing = Smoothing()
        for frame in self._read():
            self.smoothing.add(frame.pixels, self._time(frame))
            yield frame

    def enhance(self, run: Run) -> Iterator[Frame]:
        """Enhance all frames but those that an earlier run has done, after a `look` at all; give each once it is.

        Parameters
        ----------
        run : callable
            From the pixels of a frame, and the overview to decide from, to the pixels of the result: as large as
            those of any other frame.

        Raises
        ------
        ImageError
            If a frame cannot be read, or the segments cannot be written.
        """
        with _writing(self.target):
            self._make_folder()
        for number, frames in groupby(zip(count(), self._read()), lambda item: item[0] // SEGMENT):
            path = self.folder / f"{number:06}.nut"
            segment = None if path.exists() else _Segment(path, self)
            for _, frame in frames:
                if segment:
                    segment.add(run(frame.pixels, self.smoothing(self._time(frame))), frame)
                yield frame
            if segment:
                segment.close()

    def write(self, strip_metadata: bool = False) -> None:
        """Join the segments and the sound of the clip under the target's name, and remove the folder.

        Raises
        ------
        ImageError
            If that cannot be written; the segments stay.
        """
        import av

        part = self.folder / f"joined{self.target.suffix}"
        with (
            _reading(self.source) as source,
            _writing(self.target),
            av.open(str(part), "w", format=WRITTEN[self.target.suffix.lower()]) as joined,
        ):
            with av.open(str(self._segments()[0])) as first:
                video = joined.add_stream_from_template(first.streams.video[0])
            sounds = {stream.index: joined.add_stream_from_template(stream) for stream in source.streams.audio}
            for index, sound in sounds.items():
                sound.metadata.update(source.streams[index].metadata)
            if not strip_metadata:
                joined.metadata.update(source.metadata)
            sound = _packets(source, source.streams.audio, sounds)
            for packet in heapq.merge(self._video(video), sound, key=lambda packet: packet.dts * packet.time_base):
                joined.mux(packet)
        with _writing(self.target):
            part.replace(self.target)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _time(self, frame) -> float:
        return float(frame.pts * self.base)

    def _segments(self) -> list[Path]:
        return sorted(self.folder.glob("*.nut"))

    def _video(self, target) -> Iterator[Any]:
        import av

        for path in self._segments():
            with av.open(str(path)) as segment:
                yield from _packets(segment, segment.streams.video, {0: target})

    def _make_folder(self):
        """What is in it was made by the same recipe."""
        note = self.folder / "recipe"
        if not note.is_file() or note.read_text(encoding="utf-8", errors="surrogateescape") != self.recipe:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            note.write_text(self.recipe, encoding="utf-8", errors="surrogateescape")

    def _read(self) -> Iterator[Frame]:
        with _reading(self.source) as container:
            stream = container.streams.best("video")
            stream.thread_type = "AUTO"
            last = None
            for frame in container.decode(stream):
                pts = frame.pts
                if pts is None or (last is not None and pts <= last):
                    pts = 0 if last is None else last + max(1, round(1 / self.rate / self.base))
                deep = max(part.bits for part in frame.format.components) > 8
                pixels = frame.to_ndarray(format="rgb48le" if deep else "rgb24")
                quarters = round(frame.rotation / 90)
                yield Frame(np.ascontiguousarray(np.rot90(pixels, quarters)), pts, quarters % 2 == 1)
                last = pts


class _Segment:
    """Frames as a file of their own: under a temporary name until it is whole, in the clip's units of time.

    NUT, for it alone holds times in any unit.
    """

    def __init__(self, path: Path, clip: Clip):
        import av

        self.path, self.clip = path, clip
        self.part = path.with_suffix(".part")
        with _writing(clip.target):
            self.file = av.open(str(self.part), "w", format="nut")
            self.stream = self.file.add_stream(CODEC, rate=clip.rate, options=OPTIONS)

    def add(self, pixels: np.ndarray, frame: Frame) -> None:
        """Take the result of a frame; the last row or column of an odd number is left out, for two share one colour."""
        import av

        height, width = (side // 2 * 2 for side in pixels.shape[:2])
        form = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format=form)
        space, primaries, curve = self.clip.colours
        picture = picture.reformat(format="yuv420p", dst_colorspace=SPACES.get(space), dst_color_range=LIMITED)
        picture.pts, picture.time_base = frame.pts, self.clip.base
        encoder: Any = self.stream.codec_context
        if not encoder.is_open:
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base = self.clip.base
            encoder.sample_aspect_ratio = 1 / self.clip.aspect if frame.turned else self.clip.aspect
            encoder.colorspace, encoder.color_primaries, encoder.color_trc = space, primaries, curve
            encoder.color_range = LIMITED
        self._mux(picture)

    def close(self) -> None:
        """Write what is left, and give the file its name."""
        self._mux(None)
        with _writing(self.clip.target):
            self.file.close()
            self.part.replace(self.path)

    def _mux(self, picture):
        with _writing(self.clip.target):
            self.file.mux(self.stream.encode(picture))


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """The opened clip; what goes wrong with it, then or later, is told in one line."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise ImageError(f"{path} needs av to be read. Install it: pip install av") from error
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ImageError(f"{path} is not a clip, whatever its name says: there is no picture in it.")
            yield container
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be read: {_reason(error)}.") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    import av

    try:
        yield
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be written: {_reason(error)}.") from error


def _reason(error) -> str:
    return getattr(error, "strerror", None) or str(error).strip() or type(error).__name__


def _count(container, stream, path) -> int:
    """How many frames a clip has, about, from a look at all its packets.

    Raises
    ------
    ImageError
        If it is shorter than its header says, or ends within a packet.
    """
    frames, end, whole = 0, 0.0, False
    for packet in container.demux():
        if packet.pts is not None:
            frames += packet.stream is stream and not packet.is_discard
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            whole = not packet.is_corrupt
    told = ((container.start_time or 0) + (container.duration or 0)) / 1e6
    if not whole or end < told - MISSING:
        raise ImageError(f"{path} is cut short: its header tells of {told:.1f} s, and {end:.1f} s are there.")
    return frames


def _packets(container, streams, targets) -> Iterator[Any]:
    """The packets of some streams, each for the stream that takes it by its index."""
    if not streams:
        return
    for packet in container.demux(*streams):
        if packet.dts is not None:
            packet.stream = targets[packet.stream.index]
            yield packet
