"""What of a clip lies beside its pixels and is not written is told."""

import struct
from fractions import Fraction

import av
import pytest

from lowlight.io.clip import read_frames, read_head
from tests import material
from tests.conftest import scene

GOOGLE = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
"""The box of Spherical Video V1, within a track."""

CAPTION = bytes([0xB5, 0, 0x31]) + b"GA94" + bytes([3, 0x41, 0xFF, 0xFC, 0x94, 0x20, 0xFF])
"""Of one pair of letters (ATSC A/53, part 4, 6.2.3), as ITU-T T.35 has it."""


def h264(path, **options):
    """A clip of one frame."""
    with av.open(str(path), "w", format="mp4" if path.suffix == ".mp4" else "h264") as file:
        stream = file.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(1, 48, 64), format="rgb24")))
        file.mux(stream.encode(None))
    return path


def all_around(path):
    data = bytearray(h264(path).read_bytes())
    xml = b"<rdf:SphericalVideo><GSpherical:Spherical>true</GSpherical:Spherical>"
    xml += (
        b"<GSpherical:Stitched>true</GSpherical:Stitched><GSpherical:StitchingSoftware>a</GSpherical:StitchingSoftware>"
    )
    xml += b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType></rdf:SphericalVideo>"
    box = struct.pack(">I4s", 24 + len(xml), b"uuid") + GOOGLE + xml
    for kind in (b"moov", b"trak"):
        at = data.index(kind) - 4
        (length,) = struct.unpack_from(">I", data, at)
        struct.pack_into(">I", data, at, length + len(box))
    path.write_bytes(data[: at + length] + box + data[at + length :])


def in_3d(path):
    h264(path, **{"x264-params": "frame-packing=3"})


def with_captions(path):
    bare = path.with_suffix(".h264")
    data = h264(bare).read_bytes()
    picture = data.index(b"\0\0\1\x65")
    message = b"\0\0\1\6\4" + bytes([len(CAPTION)]) + CAPTION + b"\x80"
    bare.write_bytes(data[:picture] + message + data[picture:])
    with av.open(str(bare)) as source, av.open(str(path), "w") as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        (packet, *_) = source.demux(video=0)
        packet.pts = packet.dts = 0
        packet.stream = stream
        file.mux(packet)


def test_a_frame_that_says_what_pyav_has_no_name_for_is_read(tmp_path):
    """As that of a camera's MJPEG with EXIF, of which FFmpeg tells since 8.0, or of an iPhone's spatial video."""
    with av.open(str(tmp_path / "a.mov"), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        packet = av.Packet(material.encoded(scene(1, 48, 64), format="JPEG", exif=material.exif()))
        packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 25)
        file.mux(packet)
    assert read_head(tmp_path / "a.mov").notes == ()
    assert len([*read_frames(tmp_path / "a.mov")]) == 1


@pytest.mark.parametrize(
    ("make", "ending", "said"),
    [
        (h264, ".mp4", ()),
        (all_around, ".mp4", ("what says that it shows all around (360°) is left out",)),
        (in_3d, ".mp4", ("what says that it is stereoscopic (3D) is left out",)),
        (with_captions, ".ts", ("its closed captions are left out",)),
    ],
)
def test_what_players_show_a_clip_by_and_is_not_written_is_told(make, ending, said, tmp_path):
    make(tmp_path / f"clip{ending}")
    assert read_head(tmp_path / f"clip{ending}").notes == said
