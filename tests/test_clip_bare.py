"""Clips of which no header tells how long they are: transport streams, and frames without a container."""

import av
import pytest

from lowlight.inference.video import Clip, is_clip
from lowlight.io.transport import is_cut
from tests.conftest import Here, scene
from tests.test_video import enhance


@pytest.mark.parametrize(("before", "behind"), [(0, 0), (4, 0), (0, 16)], ids=["plain", "Blu-ray", "DVB"])
@pytest.mark.parametrize("begun", [0, 70])
def test_what_ends_within_a_packet_is_cut_and_what_was_filled_up_is_not(before, behind, begun, tmp_path):
    """Also where the recording began within one."""
    whole = (bytes(before) + b"\x47" + bytes(187) + bytes(behind)) * 9
    for tail, cut in ((b"", False), (bytes(before) + b"\x47" + bytes(100), True), (bytes(50), False)):
        (tmp_path / "a.ts").write_bytes(whole[begun:] + tail)
        assert is_cut(tmp_path / "a.ts") == cut


def test_what_is_no_transport_stream_is_not_cut(tmp_path):
    for data in (b"", bytes(1000), bytes(range(256)) * 40):
        (tmp_path / "a.ts").write_bytes(data)
        assert not is_cut(tmp_path / "a.ts")


@pytest.mark.parametrize(("ending", "codec"), [(".h264", "libx264"), (".hevc", "libx265")])
def test_frames_without_a_container_are_a_clip_whose_rate_is_told(ending, codec, tmp_path):
    """As of a Raspberry Pi's camera."""
    source = tmp_path / f"a{ending}"
    with av.open(str(source), "w", format=ending[1:]) as file:
        stream = file.add_stream(
            codec, rate=25, options={"x265-params": "log-level=none"} if codec == "libx265" else {}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(5):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(number, 48, 64), format="rgb24")))
        file.mux(stream.encode(None))
    clip = Clip(source, tmp_path / "b.mkv", "", Here())
    steps = [float(frame.pts * clip.head.base) for frame in clip.look()]
    assert is_clip(source)
    assert (clip.frames, steps) == (5, pytest.approx([0, 0.04, 0.08, 0.12, 0.16]))
    assert clip.notes == ("nothing says when its frames are shown: 25 a second are taken",)


def test_the_rate_of_a_tape_is_that_of_its_frames(tmp_path):
    """Of a .dv FFmpeg gives 60000 a second, by which the last frame of the result would take no time."""
    source, target = tmp_path / "tape.dv", tmp_path / "out.mkv"
    with av.open(str(source), "w") as file:
        stream = file.add_stream("dvvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        for number in range(4):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(number, 576, 720), format="rgb24")))
        file.mux(stream.encode(None))
    assert enhance(source, target, run=lambda pixels, small: pixels).head.rate == 25
    with av.open(str(target)) as file:
        assert file.duration == pytest.approx(160000, abs=1000)
