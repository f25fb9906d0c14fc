"""Enhance a clip frame by frame, in segments that outlast an interruption; sound and times stay as they are."""

import heapq
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from fractions import Fraction
from itertools import count, groupby
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from lowlight.inference.temporal import Smoothing
from lowlight.io import atomic, sound
from lowlight.io.atomic import hidden_name, replacing
from lowlight.io.clip import Frame, read_frames, read_head, reading
from lowlight.io.clip_write import Encoder, language, writing
from lowlight.io.photo import ImageError
from lowlight.io.worker import Worker, limits_for_clip

WRITTEN = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""The containers that results are written in, by the end of the name."""

OF_THE_FILE = {"major_brand", "minor_version", "compatible_brands"}
"""Metadata of FFmpeg that is of a container, and not of the clip."""

OF_PHONES = ("com.apple.", "com.android.")
"""What metadata begin with that have keys of their own."""

OF_THE_PICTURES = ("language", "title", "timecode")
"""Metadata that a track of pictures has for its own; the rest is of how they were packed."""

VIDEO_SUFFIXES = frozenset(
    {*WRITTEN, ".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265"}
    | {".hevc", ".m2t", ".m2ts", ".m2v", ".mod", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".qt", ".tod", ".ts"}
    | {".vob", ".webm", ".wmv"}
)
"""What is taken for a clip, by the end of the name."""

SEGMENT = 100
"""Frames that an interruption costs at most."""

Run = Callable[[np.ndarray, np.ndarray], np.ndarray]


def is_clip(path: PurePath) -> bool:
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
    worker : Worker
        Where the clip is read.

    Raises
    ------
    ImageError
        If the file is no clip, is cut short or too large, the target's container is not known or cannot hold the
        sound, or PyAV is not installed.
    """

    def __init__(self, source: Path, target: Path, recipe: str, worker: Worker):
        self.source, self.target, self.worker = source, target, worker
        if target.suffix.lower() not in WRITTEN:
            known = ", ".join(sorted(WRITTEN))
            raise ImageError(f"Clips cannot be written so. Received: {target.name}. Known: {known}.")
        self.head = worker.call(read_head, source, limits=limits_for_clip(source))
        heard = sound.refuse(source, target, WRITTEN[target.suffix.lower()])
        self.head = self.head._replace(notes=self.head.notes + heard)
        self.frames, self.notes = self.head.frames, self.head.notes
        self.folder = target.absolute().with_name(f"{hidden_name(target)}.part")  # as of `reading`
        status = source.stat()
        self.recipe = f"{source.absolute()} {status.st_size} {status.st_mtime_ns} {recipe} {self.head}"
        self.smoothing = Smoothing()
        self.enhanced = 0

    def look(self) -> Generator[Frame, None, None]:
        """Take in how bright all frames are, so that each is decided by what comes before and after; give each.

        What is told of the clip, in `notes`, is whole then.

        Raises
        ------
        ImageError
            If a frame cannot be read.
        """
        self.smoothing = Smoothing()
        damaged, sizes = 0, set()
        with closing(self._read()) as read:
            for frame in read:
                self.smoothing.add(frame.pixels, self._time(frame))
                damaged += frame.damaged
                sizes.add(frame.pixels.shape)
                yield frame
        self.notes = self.head.notes
        if damaged:
            self.notes += (f"{damaged} of its frames are damaged",)
        if len(sizes) > 1:
            self.notes += ("its frames change their size, and all get that of the first",)

    def enhance(self, run: Run) -> Generator[Frame, None, None]:
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
        with writing(self.target):
            self._make_folder()
        self.enhanced = 0
        with closing(self._read()) as read:
            for number, frames in groupby(zip(count(), read), lambda item: item[0] // SEGMENT):
                path = self.folder / f"{number:06}.nut"
                with nullcontext() if path.exists() else Encoder(path, self.head, self.target) as segment:
                    for _, frame in frames:
                        if segment:
                            segment.add(run(frame.pixels, self.smoothing(self._time(frame))), frame)
                        self.enhanced += 1
                        yield frame
        if not self._segments():
            raise ImageError(f"{self.source} cannot be read: none of its frames can be decoded.")

    def write(self, strip_metadata: bool = False) -> None:
        """Join the segments and the sound of the clip under the target's name, and remove the folder.

        Raises
        ------
        ImageError
            If that cannot be written, or lacks a frame; the segments stay.
        """
        import av

        form = WRITTEN[self.target.suffix.lower()]
        with (
            reading(self.source) as source,
            writing(self.target),
            replacing(self.target) as file,
            av.open(file, "w", format=form, options=_options(source, form)) as joined,
        ):
            with av.open(str(self._segments()[0])) as first:
                video = joined.add_stream_from_template(first.streams.video[0])
            video.codec_context.framerate = self.head.rate
            if joined.format.name != "matroska" and self.head.depth > 8:
                video.codec_context.codec_tag = "hvc1"  # HEVC by another name is not played on Apple's devices
            sounds = sound.add(source, joined, strip_metadata)
            start = Fraction(max(0, source.start_time or 0), 10**6)  # players would wait for hours of a broadcast
            if not strip_metadata:
                told = {key: value for key, value in source.metadata.items() if key not in OF_THE_FILE}
                joined.metadata.update(told)
                pictures = source.streams.best("video").metadata
                kept = OF_THE_PICTURES[: None if self.head.rate < 256 else -1]  # a timecode counts no more frames
                video.metadata.update({key: pictures[key] for key in kept if key in pictures})
                if "language" in pictures:
                    video.metadata["language"] = language(pictures["language"], form)
                joined.set_chapters([_earlier(chapter, start) for chapter in source.chapters()])
            both = self._video(video), sound.packets(source, sounds)
            for packet in heapq.merge(*both, key=lambda packet: packet.dts * packet.time_base):
                units = round(start / packet.time_base)
                packet.pts, packet.dts = packet.pts - units, packet.dts - units
                joined.mux(packet)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self) -> Generator[Frame, None, None]:
        """To be closed: until then the worker is taken, and what ends the worker would wait for ever."""
        return self.worker.iterate(read_frames, self.source, limits=limits_for_clip(self.source))

    def _time(self, frame) -> float:
        return float(frame.pts * self.head.base)

    def _segments(self) -> list[Path]:
        return sorted(self.folder.glob("*.nut"))

    def _video(self, target) -> Iterator[Any]:
        import av

        written = 0
        for path in self._segments():
            with av.open(str(path)) as segment:
                for packet in _packets(segment, target):
                    written += 1
                    yield packet
        if written != self.enhanced:  # each frame is a packet
            raise ImageError(
                f"{self.target} would not have all frames. Received: {written} of {self.enhanced}. Remove "
                f"{self.folder}, and run it again."
            )

    def _make_folder(self):
        """What is in it was made by the same recipe."""
        note = self.folder / "recipe"
        if not note.is_file() or note.read_text(encoding="utf-8", errors="surrogateescape") != self.recipe:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            atomic.write(note, self.recipe.encode(errors="surrogateescape"))


def _earlier(chapter, seconds):
    """A chapter of a clip that begins so much later than its result."""
    units = round(seconds / chapter["time_base"])
    return chapter | {name: max(0, chapter[name] - units) for name in ("start", "end")}


def _options(source, form) -> dict[str, str]:
    """Phones say by keys of their own how a clip was taken, which FFmpeg writes only if it is told to."""
    keys = form != "matroska" and any(key.startswith(OF_PHONES) for key in source.metadata)
    return {"movflags": "use_metadata_tags"} if keys else {}


def _packets(segment, target) -> Iterator[Any]:
    for packet in segment.demux(video=0):
        if packet.dts is None:
            packet.dts = packet.pts  # FFmpeg gives none for all 7 packets of a NUT of 7 frames; nothing is reordered
        if packet.dts is not None:
            packet.stream = target
            yield packet
