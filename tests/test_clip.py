"""What a clip's frames are read as, and what is kept of them when they are written: depth, colours, sides, rate."""

import re
import struct
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from lowlight.cli.batch import enhance_all
from lowlight.inference.video import Clip
from lowlight.io.clip import _decoded, read_frames, read_head
from lowlight.io.photo import ImageError
from lowlight.io.side_data import MASTERING
from lowlight.settings import EnhanceSettings
from tests.conftest import Here, scene
from tests.test_zoo import save_model

QUIET = {"x265-params": "log-level=none", "crf": "4", "bf": "0"}  # B-frames: now and then a pts before its dts

SIZES = {"420": (2, 2), "422": (1, 2), "444": (1, 1)}


def write_planes(path, planes, form, codec="ffv1", count=2, rate=24, colours=(1, 1, 1), full=False, **options):
    """A clip whose frames hold these planes, each an array of levels."""
    with av.open(str(path.absolute()), "w") as file:
        stream = file.add_stream(
            codec, rate=rate, options={name.replace("_", "-"): text for name, text in options.items()}
        )
        encoder = stream.codec_context
        encoder.height, encoder.width, encoder.pix_fmt = *planes[0].shape, form
        encoder.colorspace, encoder.color_primaries, encoder.color_trc = colours
        encoder.color_range = 2 if full else 1
        for number in range(count):
            frame = av.VideoFrame(encoder.width, encoder.height, form)
            for plane, levels in zip(frame.planes, planes, strict=True):
                rows = np.zeros((plane.height, plane.line_size // levels.itemsize), levels.dtype)
                rows[: levels.shape[0], : levels.shape[1]] = levels
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = number, 1 / Fraction(rate)
            frame.color_range, frame.colorspace = encoder.color_range, colours[0]
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def planes_of(pixels, depth=8, chroma="444", middle=True):
    """RGB in [0, 1] as Y, Cb and Cr of BT.709 at video levels (ITU-R BT.709-6, 3 and 4).

    Colour that two columns share is that in the middle of them, or that of the left one, as H.264 has it; of rows it is
    always that in the middle.
    """
    red, green, blue = np.moveaxis(pixels, 2, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    parts = 219 * luma + 16, 224 * (blue - luma) / 1.8556 + 128, 224 * (red - luma) / 1.5748 + 128
    down, across = SIZES[chroma]
    parts = parts[0], *((part[::down] + part[down - 1 :: down]) / 2 for part in parts[1:])
    other = across - 1 if middle else 0
    parts = parts[0], *((part[:, ::across] + part[:, other::across]) / 2 for part in parts[1:])
    return [np.rint(part * 2 ** (depth - 8)).astype(np.uint8 if depth == 8 else np.uint16) for part in parts]


def form_of(depth, chroma):
    return f"yuv{chroma}p" if depth == 8 else f"yuv{chroma}p{depth}le"


def smooth(height=48, width=64):
    """Colours that change so slowly that nothing is lost where pixels share them, in [0, 1]."""
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    return np.stack(np.broadcast_arrays(0.1 + 0.8 * across, 0.2 + 0.5 * down, 0.9 - 0.4 * (down + across)), axis=2)


def first_of(path):
    """The first frame's pixels as floats."""
    pixels = next(read_frames(path)).pixels
    return pixels / np.iinfo(pixels.dtype).max


def passed(source, target, run=lambda pixels, small: pixels):
    """A clip taken through all its steps; what the target says of itself."""
    clip = Clip(source, target, "", Here())
    for _ in clip.look():
        pass
    for _ in clip.enhance(run):
        pass
    clip.write()
    with av.open(str(target.absolute())) as file:
        stream = file.streams.video[0]
        return stream.codec_context.name, stream.codec_context.format.name, stream.average_rate, read_head(target)


@pytest.mark.parametrize("chroma", SIZES)
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_frames_are_read_as_their_standard_says(tmp_path, depth, chroma):
    """Truth is the standard's own arithmetic; what colour at half resolution loses is small where colour is smooth."""
    path = write_planes(tmp_path / "a.mkv", planes_of(smooth(), depth, chroma), form_of(depth, chroma))
    error = first_of(path) - smooth()
    assert abs(error.mean()) < 0.15 / 255
    assert np.abs(error).mean() < {8: 0.6, 10: 0.25, 12: 0.2}[depth] / 255


@pytest.mark.parametrize(
    ("form", "levels", "full"),
    [
        ("yuv420p10le", (64, 940), False),
        ("yuv420p10le", (0, 1023), True),
        ("yuv444p12le", (256, 3760), False),
        ("gray10le", (0, 1023), True),
        ("gbrp16le", (0, 65535), False),
    ],
)
def test_black_is_black_and_white_is_white(tmp_path, form, levels, full):
    middle = 1 << int(np.log2(levels[1]))
    for level, value in zip(levels, (0, 65535), strict=True):
        planes = [np.full((32, 32), level, np.uint16)]
        if form.startswith("yuv"):
            side = 16 if "420" in form else 32
            planes += [np.full((side, side), middle, np.uint16)] * 2
        elif form.startswith("gbr"):
            planes *= 3
        space = 0 if form.startswith("gbr") else 1
        path = write_planes(tmp_path / "a.mkv", planes, form, full=full, colours=(space, 1, 1), strict="experimental")
        np.testing.assert_array_equal(next(read_frames(path)).pixels, np.full((32, 32, 3), value, np.uint16))


def test_grey_of_video_levels_is_read_so(tmp_path):
    levels = np.tile(np.array([16, 126, 235], np.uint8), (48, 16))
    path = write_planes(tmp_path / "a.mp4", [levels], "gray", "libx264", qp="0")
    found = next(read_frames(path)).pixels[0, :3]
    np.testing.assert_array_equal(found, np.array([[0], [128], [255]]) * np.ones(3))


def test_colour_stays_where_it_is_between_pixels(tmp_path):
    """It falls from side to side, so that half a pixel shows as a shift of its level, by 2."""
    for name, options in (("h264", {"codec": "libx264", "qp": "0"}), ("ffv1", {})):
        planes = planes_of(smooth(), 10, "420", middle=name == "ffv1")
        source = write_planes(tmp_path / f"{name}.mkv", planes, "yuv420p10le", **options)
        passed(source, tmp_path / f"{name}.mp4")
        for path in (source, tmp_path / f"{name}.mp4"):
            with av.open(str(path)) as file:
                plane = next(file.decode(video=0)).planes[1]
            levels = np.frombuffer(bytes(plane), np.uint16).reshape(plane.height, -1)[:, : plane.width]
            assert abs((levels.astype(int) - planes[1])[2:-2, 2:-2].mean()) < 1.2


@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_a_clip_that_is_only_passed_on_stays_as_bright(tmp_path, depth, chroma):
    source = write_planes(tmp_path / "a.mkv", planes_of(smooth(), depth, chroma), form_of(depth, chroma))
    passed(source, tmp_path / "b.mp4")
    error = first_of(tmp_path / "b.mp4") - first_of(source)
    assert abs(error.mean()) < 0.2 / 255
    assert np.abs(error).mean() < 1.5 / 255


@pytest.mark.parametrize("matrix", [(a, b) for a in (1, -1) for b in (1, -1)])
@pytest.mark.parametrize("turned", [False, True])
def test_all_eight_display_matrices_are_applied(tmp_path, matrix, turned):
    """Each corner goes where the matrix takes it: (x, y) to (a x + c y, b x + d y), ISO/IEC 14496-12, 6.2.2."""
    corners = np.array([[40, 80], [120, 200]], np.uint8)
    grey = np.kron(corners, np.ones((24, 32), np.uint8))
    path = write_planes(
        tmp_path / "a.mp4", [grey, *[np.full((24, 32), 128, np.uint8)] * 2], "yuv420p", "libx264", qp="0"
    )
    first, second = matrix
    a, b, c, d = (0, first, second, 0) if turned else (first, 0, 0, second)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # version 0 of the box
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    expected = np.zeros((2, 2))
    for y, x in np.ndindex(2, 2):
        place = a * (2 * x - 1) + c * (2 * y - 1), b * (2 * x - 1) + d * (2 * y - 1)
        expected[(place[1] + 1) // 2, (place[0] + 1) // 2] = corners[y, x]
    frame = next(read_frames(path))
    assert frame.turned is turned
    assert frame.pixels.shape == ((64, 48, 3) if turned else (48, 64, 3))
    found = frame.pixels[[12, -12]][:, [12, -12], 0] * (219 / 255) + 16
    np.testing.assert_allclose(found, expected, atol=1)
    passed(path, tmp_path / "b.mp4")
    np.testing.assert_allclose(first_of(tmp_path / "b.mp4"), frame.pixels / 255, atol=0.1)


@pytest.mark.parametrize(
    ("name", "form", "codec"),
    [("a.mkv", "yuv420p", "libx264"), ("a.webm", "yuv420p", "libvpx-vp9"), ("a.avi", "yuvj422p", "mjpeg")],
)
def test_the_rate_is_kept_in_containers_that_count_milliseconds(tmp_path, name, form, codec):
    planes = planes_of(smooth(), 8, form[-4:-1])
    rate = Fraction(24000, 1001)
    source = write_planes(tmp_path / name, planes, form, codec, count=12, rate=rate, full="j" in form)
    assert passed(source, tmp_path / "b.mkv")[2] == rate


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize(("height", "width"), [(47, 63), (48, 63), (47, 64)])
def test_odd_sides_are_kept(tmp_path, depth, height, width):
    source = write_planes(tmp_path / "a.mkv", planes_of(smooth(height, width), depth), form_of(depth, "444"))
    assert passed(source, tmp_path / "b.mp4")[1] == form_of(depth, "444")
    assert next(read_frames(tmp_path / "b.mp4")).pixels.shape == (height, width, 3)


@pytest.mark.parametrize(
    ("name", "codec", "form", "depth", "chroma", "written"),
    [
        ("a.mp4", "libx265", "yuv420p10le", 10, "420", "yuv420p10le"),
        ("a.mp4", "libx265", "yuv420p12le", 12, "420", "yuv420p12le"),
        ("a.mp4", "libx264", "yuv422p10le", 10, "422", "yuv422p10le"),
        ("a.mov", "prores_ks", "yuv422p10le", 10, "422", "yuv422p10le"),
        ("a.mov", "prores_ks", "yuv444p10le", 10, "444", "yuv444p12le"),  # ProRes 4444 is decoded to 12 bits
    ],
)
def test_more_than_eight_bits_are_kept(tmp_path, name, codec, form, depth, chroma, written):
    options = QUIET if codec == "libx265" else {}
    source = write_planes(tmp_path / name, planes_of(smooth() / 8, depth, chroma), form, codec, **options)
    deep = []

    def run(pixels, small):
        deep.append(pixels.dtype)
        return pixels

    found = passed(source, tmp_path / f"b{source.suffix}", run)
    assert found[:2] == ("hevc", written)
    assert set(deep) == {np.dtype(np.uint16)}
    with av.open(str(tmp_path / f"b{source.suffix}")) as file:
        assert file.streams.video[0].codec_context.codec_tag == "hvc1"
    assert np.abs(first_of(tmp_path / f"b{source.suffix}") - first_of(source)).mean() < 1.5 / 255


@pytest.mark.parametrize("curve", [16, 18])
@pytest.mark.parametrize("depth", [8, 10])
def test_a_clip_of_hdr_stays_one(tmp_path, curve, depth):
    planes = planes_of(smooth(), depth, "420")
    source = write_planes(tmp_path / "a.mkv", planes, form_of(depth, "420"), colours=(9, 9, curve))
    _, form, _, head = passed(source, tmp_path / "b.mp4")
    assert (form, head.colours, head.depth) == ("yuv420p10le", (9, 9, curve), 10)
    assert np.abs(first_of(tmp_path / "b.mp4") - first_of(source)).mean() < 2 / 255


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_the_screen_that_a_clip_of_hdr_was_made_on_stays_and_what_is_not_true_any_more_is_told(tmp_path, ending):
    """Display P3 of 4000 nits, by the numbers that x265's handbook has for it."""
    screen = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,50)"
    params = f"log-level=none:master-display={screen}:max-cll=1200,300"
    planes, options = planes_of(smooth(), 10, "420"), QUIET | {"x265-params": params}
    source = write_planes(tmp_path / "a.mp4", planes, "yuv420p10le", "libx265", colours=(9, 9, 16), **options)
    *_, head = passed(source, tmp_path / f"b{ending}")
    said = []
    for path in (source, tmp_path / f"b{ending}"):
        with av.open(str(path)) as file:
            frame = next(file.decode(video=0))
            said.append([bytes(frame.side_data.get(name) or b"") for name in (MASTERING, "CONTENT_LIGHT_LEVEL")])
    assert said[0][0] == said[1][0] != b""
    assert any(said[0][1])
    assert not any(said[1][1])  # CTA-861.3: 0 where it is not known
    assert (head.mastering, head.notes) == (screen, ())
    assert read_head(source).notes == ("its light levels (MaxCLL, MaxFALL) are left out: the result has others",)


def test_what_is_pq_is_run_as_hlg(tmp_path):
    """Of PQ 58.06 % is 203 nits, and 50.81 % is 100 nits (ITU-R BT.2408); by hand, HLG's curve for .203 and .1."""
    for level, expected in ((0.5806, 0.6969), (0.5081, 0.5441)):
        luma = np.full((32, 32), round(64 + 876 * level), np.uint16)
        grey = [luma, *[np.full((16, 16), 512, np.uint16)] * 2]
        path = write_planes(tmp_path / "a.mkv", grey, "yuv420p10le", colours=(9, 9, 16))
        np.testing.assert_allclose(first_of(path), expected, atol=2e-3)


@pytest.mark.filterwarnings("ignore")
def test_transparency_that_is_left_out_is_told(tmp_path, capsys):
    (tmp_path / "model").mkdir()
    save_model(tmp_path / "model")
    planes = [*planes_of(smooth(), 8, "420"), np.full((48, 64), 99, np.uint8)]
    source = write_planes(tmp_path / "a.mkv", planes, "yuva420p")
    settings = EnhanceSettings((source,), tmp_path / "out", model=str(tmp_path / "model"))
    assert enhance_all(settings) == 0
    assert capsys.readouterr().err == f"note: {source}: its transparency is left out\n"


def test_an_interlaced_clip_is_told(tmp_path):
    planes = planes_of(smooth(), 8, "420")
    path = write_planes(tmp_path / "tape.mpg", planes, "yuv420p", "mpeg2video", flags="+ildct+ilme")
    assert read_head(path).notes == ("it is interlaced, and its result does not say so",)


def test_frames_that_are_too_large_are_refused_before_one_is_decoded(tmp_path):
    path = write_planes(tmp_path / "a.avi", planes_of(smooth(), 8, "420"), "yuv420p", "rawvideo")
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 12  # biWidth and biHeight
    data[at : at + 8] = struct.pack("<ii", 16000, 16000)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a.avi is too large: 16000x16000 pixels, above 250 megapixels\.$"):
        read_head(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.webm"])
def test_a_clip_that_does_not_say_what_its_colours_are_comes_out_as_it_was(tmp_path, name):
    """Most clips of screens, webcams and old cameras do not."""
    source, picture = tmp_path / name, np.rint(smooth() * 255).astype(np.uint8)
    with av.open(str(source), "w") as file:
        stream = file.add_stream({"a.mp4": "libx264", "a.avi": "mpeg4", "a.webm": "libvpx-vp9"}[name], rate=24)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    assert read_head(source).colours[0] == 2
    before = first_of(source)
    *_, head = passed(source, tmp_path / "out.mkv")
    assert head.colours[0] == 2
    assert np.abs(first_of(tmp_path / "out.mkv") - before).mean() < 2 / 255


def broadcast(path, height, count=20):
    """A transport stream, in which frames of any size may follow each other."""
    with av.open(str(path), "w", format="mpegts") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "20", "g": "10"})
        stream.height, stream.width, stream.pix_fmt = height, 192, "yuv420p"
        for number in range(count):
            pixels = np.roll(scene(1, height, 192) // 4, 3 * number, axis=1)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    return path.read_bytes()


def test_frames_that_are_damaged_or_change_their_size_are_told_once_the_clip_was_looked_at(tmp_path):
    whole = broadcast(tmp_path / "whole.ts", 128)
    broken = bytearray(whole)
    for place in np.random.default_rng(1).integers(len(whole) // 4, 3 * len(whole) // 4, 40):
        broken[place] ^= 0x55
    (tmp_path / "broken.ts").write_bytes(broken)
    (tmp_path / "two.ts").write_bytes(whole + broadcast(tmp_path / "small.ts", 96))
    said = {}
    for name in ("whole", "broken", "two"):
        clip = Clip(tmp_path / f"{name}.ts", tmp_path / "out.mp4", "", Here())
        assert len([*clip.look()]) > 15
        said[name] = clip.notes
    assert said["whole"] == ()
    assert re.fullmatch(r"\d+ of its frames are damaged", *said["broken"])
    assert said["two"] == ("its frames change their size, and all get that of the first",)


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_packet_that_is_broken_costs_no_more_than_itself(tmp_path, ending):
    """As where a card or a disk has a bad place: the length of what is in the packet makes no sense."""
    planes = planes_of(smooth(), 8, "420")
    path = write_planes(tmp_path / f"a{ending}", planes, "yuv420p", "libx264", count=12, bf="0")
    with av.open(str(path)) as file:
        packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes().replace(packets[5], b"\xff" * len(packets[5])))
    clip = Clip(path, tmp_path / f"out{ending}", "", Here())
    assert len([*clip.look()]) == 11
    assert re.fullmatch("[12] of its frames are damaged", *clip.notes)  # decoders work at several frames at once


@pytest.mark.parametrize("ending", ["avi", "asf", "mp4", "mov", "mkv"])
@pytest.mark.parametrize(("codec", "between"), [("libx264", "3"), ("libx264", "0"), ("mpeg4", "2")])
def test_frames_are_shown_when_they_were_also_where_a_file_tells_when_to_decode_them(tmp_path, codec, between, ending):
    path = tmp_path / f"clip.{ending}"
    options = {"bf": between} | ({"b-adapt": "0"} if codec == "libx264" else {"qmin": "1", "qmax": "2"})
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            picture = np.full((48, 64, 3), 20 + 10 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    base = read_head(path).base
    late = {"0": 0, "2": 1, "3": 2}[between] if ending == "asf" else 0  # by as much as decoding begins before 0
    shown = [(round((frame.pixels.mean() - 20) / 10), round(frame.pts * base * 25)) for frame in read_frames(path)]
    assert shown == [(number, number + late) for number in range(20)]


def test_threads_that_decode_are_done_before_the_decoder_goes_also_where_no_more_is_read():
    """Those that complain wait for Python, which waits for them as it lets go of the decoder: once in some hundred."""
    done = []
    stream = SimpleNamespace(codec_context=SimpleNamespace(flush_buffers=lambda: done.append(True)))
    packets = [SimpleNamespace(decode=lambda: ["first", "second"])]
    container = SimpleNamespace(streams=SimpleNamespace(best=lambda kind: stream), demux=lambda stream: packets)
    frames = _decoded(container)
    assert next(frames) == "first"
    assert not done
    frames.close()
    assert done == [True]


def test_a_name_with_a_colon_is_none_of_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in:1").mkdir()
    source = write_planes(Path("pipe:0.mkv"), planes_of(smooth(), 8, "420"), "yuv420p")
    assert passed(source, Path("in:1") / "12:30.mkv")[0] == "h264"
