"""Clips out: frames as H.264 or HEVC, with the depth, colours, rate and times of the clip that they come from."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lowlight.imaging.transfer import PQ, hlg_to_scene, nits_to_pq
from lowlight.io.atomic import replacing
from lowlight.io.clip import CODECS, HLG_PEAK, LIMITED, SCALER_WHITE, Frame, Head, reason, rounded
from lowlight.io.photo import ImageError

OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "18", "preset": "medium", "bf": "0"},
    "libx265": {"crf": "18", "preset": "fast", "bf": "0", "x265-params": "log-level=none"},
}
"""A loss that is hardly seen. Without B-frames packets are in the order of their times: segments just add up."""

MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}
"""Names that FFmpeg's scaler has for colour matrices, by their numbers (AVColorSpace); others it chooses itself."""


OF_QUICKTIME = {
    **{"bod": "tib", "cym": "wel", "deu": "ger", "ell": "gre", "eus": "baq", "fas": "per", "hye": "arm", "isl": "ice"},
    **{"kat": "geo", "mkd": "mac", "msa": "may", "mya": "bur", "nld": "dut", "sqi": "alb", "zho": "chi"},
}
"""Languages that FFmpeg writes into a .mov by their other code of ISO 639-2 alone."""


class Encoder:
    """Frames as a file of their own, in the clip's units of time; a context, at whose end the file is there, whole.

    NUT, for it alone holds times in any unit.

    Parameters
    ----------
    path : Path
        Of the file.
    head : Head
        Of the clip that the frames come from: its depth, colours, rate and times are kept.
    target : Path
        Which file is named in an error.
    """

    def __init__(self, path: Path, head: Head, target: Path):
        import av

        self.head, self.target = head, target
        self.shape: tuple[int, ...] = ()
        self.graph: Any = None
        codec = CODECS[head.depth]
        options = dict(OPTIONS[codec])
        if head.mastering:  # then it is HDR, and HEVC
            options["x265-params"] += f":master-display={head.mastering}"
        with writing(target), ExitStack() as stack:
            self.file: Any = stack.enter_context(av.open(stack.enter_context(replacing(path)), "w", format="nut"))
            self.stream: Any = self.file.add_stream(codec, rate=head.rate, options=options)
            self.stack = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is not None:
            with suppress(RuntimeError, OSError):  # what could not be written cannot be closed, either
                self.stack.__exit__(kind, error, traceback)
            return
        with writing(self.target), self.stack:
            self.file.mux(self.stream.encode(None))

    def add(self, pixels: np.ndarray, frame: Frame) -> None:
        """Take the result of a frame, (H, W, 3) uint8 or uint16."""
        import av

        form = "rgb24"
        if pixels.dtype == np.uint16:
            pixels, form = np.take(_as_written(self.head.colours[2]), pixels), "rgb48le"
        encoder = self.stream.codec_context
        if not encoder.is_open:
            self._set_up(encoder, pixels.shape, frame.turned)
        with writing(self.target):
            if pixels.shape != self.shape:  # a clip's frames may change their size: the first ones' is kept
                self.shape, self.graph = pixels.shape, self._make_graph(encoder, pixels.shape, form)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
            picture.pts, picture.time_base = frame.pts, self.head.base
            self.graph.push(picture)
            self.file.mux(self.stream.encode(self.graph.pull()))

    def _set_up(self, encoder, shape, turned):
        """Colour that two pixels share has no place where a side is odd: there each has its own."""
        head = self.head
        height, width = shape[:2]
        chroma = "444" if height % 2 or width % 2 else head.chroma
        encoder.width, encoder.height = width, height
        encoder.pix_fmt = f"yuv{chroma}p" + (f"{head.depth}le" if head.depth > 8 else "")
        encoder.time_base, encoder.framerate = head.base, head.rate
        encoder.sample_aspect_ratio = 1 / head.aspect if turned else head.aspect
        encoder.colorspace, encoder.color_primaries, encoder.color_trc = head.colours
        encoder.color_range = LIMITED

    def _make_graph(self, encoder, shape, form):
        """From RGB to what is encoded; PyAV's own conversion cannot say where colour is to lie."""
        import av

        graph, (height, width) = av.filter.Graph(), shape[:2]
        scale = {
            "w": encoder.width,
            "h": encoder.height,
            "flags": "bicubic+accurate_rnd+full_chroma_inp+full_chroma_int",
            "out_range": "limited",
            "out_chroma_loc": self.head.siting,
        }
        if self.head.colours[0] in MATRICES:
            scale["out_color_matrix"] = MATRICES[self.head.colours[0]]
        graph.link_nodes(
            graph.add_buffer(width=width, height=height, format=av.VideoFormat(form), time_base=self.head.base),
            graph.add("scale", ":".join(f"{name}={value}" for name, value in scale.items())),
            graph.add("format", f"pix_fmts={encoder.pix_fmt}"),
            graph.add("buffersink"),
        ).configure()
        return graph


def language(code: str, form: str) -> str:
    """The code of a language as FFmpeg takes it for a container, `form`, which would lose it otherwise."""
    return OF_QUICKTIME.get(code, code) if form == "mov" else code


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What goes wrong with a file that is written is told in one line."""
    import av

    try:
        yield
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be written: {reason(error)}.") from error


@cache
def _as_written(curve: int) -> np.ndarray:
    """From levels of 16 bits to what the scaler takes for them."""
    levels = np.linspace(0, 1, 65536)
    return rounded(nits_to_pq(hlg_to_scene(levels) * HLG_PEAK) if curve == PQ else levels, SCALER_WHITE)
