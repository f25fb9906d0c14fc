"""That a clip lacks its end is told by what its file says of its length, also where it ends between two packets."""

import struct

import av
import pytest

from lowlight.inference.video import Clip
from lowlight.io.clip import BROKEN_OFF
from lowlight.io.clip_end import is_cut
from tests.conftest import Here, scene

FIRST = {"movflags": "faststart"}


def clip(path, codec, options):
    with av.open(str(path), "w", options=options) as file:
        stream = file.add_stream(codec, rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(30):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(number), format="rgb24")))
        file.mux(stream.encode(None))
    return path


def last_packet(path) -> int:
    with av.open(str(path)) as file:
        return max(packet.pos for packet in file.demux() if packet.size)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        *[("a.wmv", "wmv2", {}), ("a.asf", "mpeg4", {}), ("a.avi", "mpeg4", {}), ("a.mkv", "libx264", {})],
        *[("a.webm", "libvpx-vp9", {}), ("a.mp4", "libx264", FIRST), ("a.mov", "mpeg4", FIRST)],
    ],
)
def test_a_clip_that_is_cut_between_two_packets_is_told(name, codec, options, tmp_path):
    path = clip(tmp_path / name, codec, options)
    assert Clip(path, tmp_path / "out.mkv", "", Here()).notes == ()
    path.write_bytes(path.read_bytes()[: last_packet(path)])
    assert Clip(path, tmp_path / "out.mkv", "", Here()).notes == (BROKEN_OFF,)


@pytest.mark.parametrize(
    ("name", "codec", "options", "tail"),
    [
        ("live.mkv", "libx264", {"live": "1"}, b""),
        ("phone.mp4", "libx264", {}, b"SEFH and more that is no box"),
        ("camera.avi", "mpeg4", {}, bytes(1000)),
    ],
)
def test_what_goes_on_while_it_is_written_or_has_more_behind_it_is_not_cut(name, codec, options, tail, tmp_path):
    path = clip(tmp_path / name, codec, options)
    path.write_bytes(path.read_bytes() + tail)
    assert Clip(path, tmp_path / "out.mkv", "", Here()).notes == ()


@pytest.mark.parametrize("lost", [0, 100])
def test_each_part_of_a_long_avi_and_a_length_that_counts_its_own_head_too_are_heeded(lost, tmp_path):
    parts = [b"RIFF" + struct.pack("<I", 1004) + kind + bytes(1000) for kind in (b"AVI ", b"AVIX")]
    odd = b"RIFF" + struct.pack("<I", 1012) + b"AVI " + bytes(1000)
    for data in (b"".join(parts), odd):
        (tmp_path / "a.avi").write_bytes(data[: len(data) - lost])
        assert is_cut(tmp_path / "a.avi", "avi") == bool(lost)


def test_files_that_say_nothing_of_their_length_are_not_cut(tmp_path):
    for form in ("asf", "avi", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "flv"):
        for data in (b"", b"\x18\x53\x80\x67", b"\x18\x53\x80\x67\0\0", b"RIFF", bytes(range(256)) * 9):
            (tmp_path / "a").write_bytes(data)
            assert not is_cut(tmp_path / "a", form)
