"""Clips that the tests make: what comes out of them, what an interruption leaves, what brightness does."""

import json
import os
import struct
import sys
from fractions import Fraction
from itertools import islice
from types import SimpleNamespace

import av
import numpy as np
import pytest

from lowlight.cli.batch import _enhance, enhance_all
from lowlight.cli.jobs import plan
from lowlight.inference import video
from lowlight.inference.video import Clip
from lowlight.io.clip import BROKEN_OFF, read_head
from lowlight.io.photo import ImageError
from lowlight.io.worker import Worker
from lowlight.settings import EnhanceSettings
from tests.conftest import Here, files_of_at_most, scene
from tests.test_zoo import save_model

BASE = Fraction(1, 90000)
SOUND = 48000


def write_clip(path, frames, times=None, depth=8, sound=True):
    """Frames as H.264 or, of 10 bits, H.265; `times` in units of `BASE`, by default 30 a second."""
    times = 3000 * np.arange(len(frames)) if times is None else times
    with av.open(str(path), "w") as file:
        # Of frames as few as these, x265 may give B-frames the times of others, which no file takes.
        options = {"crf": "6"} if depth == 8 else {"crf": "6", "bf": "0", "x265-params": "log-level=none"}
        stream = file.add_stream("libx264" if depth == 8 else "libx265", rate=30, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p" if depth == 8 else "yuv420p10le"
        stream.codec_context.time_base, stream.codec_context.colorspace = BASE, 1
        if sound:
            tone = file.add_stream("aac", rate=SOUND)
        for pixels, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt, dst_colorspace=1)
            frame.pts, frame.time_base = int(time), BASE
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        for start in range(0, int(times[-1] * BASE * SOUND) if sound else 0, 1024):
            wave = np.sin(np.arange(start, start + 1024, dtype=np.float32) / 20)[None]
            block = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            block.pts, block.rate, block.time_base = start, SOUND, Fraction(1, SOUND)
            file.mux(tone.encode(block))
        if sound:
            file.mux(tone.encode(None))
    return path


def frames_of(path):
    """The frames' pixels, upright, and times in seconds."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    pixels = [np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)) for frame in frames]
    return np.array(pixels), [float(frame.time) for frame in frames]


def sound_of(path):
    with av.open(str(path)) as file:
        return [(float(p.pts * p.time_base), bytes(p)) for p in file.demux(audio=0) if p.dts is not None]


def twice(pixels, small):
    return np.minimum(pixels, 127) * 2


def enhance(source, target, run=twice, recipe="", frames=None, strip_metadata=False):
    """All of a clip, or only the first frames of it, as if interrupted."""
    clip = Clip(source, target, recipe, Here())
    assert len(list(clip.look())) == clip.frames
    steps = clip.enhance(run)
    for _ in islice(steps, frames):
        pass
    steps.close()
    if frames is None:
        clip.write(strip_metadata)
    return clip


@pytest.fixture
def clip(tmp_path):
    """Fifty dark frames at uneven times."""
    times = np.cumsum(np.random.default_rng(0).integers(1000, 6000, 50))
    return write_clip(tmp_path / "clip.mp4", [scene(0) // (5 + i % 3) for i in range(50)], times)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_uneven_times_and_sound_stay_and_each_frame_is_run(clip, tmp_path, ending, monkeypatch):
    monkeypatch.setattr(video, "SEGMENT", 15)
    target = tmp_path / "out" / f"bright{ending}"
    assert enhance(clip, target).frames == 50
    (before, times), (after, later) = frames_of(clip), frames_of(target)
    moved = np.array(later) - times  # Matroska has no times below zero, where the sound begins, and counts milliseconds
    shift = (moved.min() + moved.max()) / 2  # the first frame's time is rounded like any other
    assert abs(shift) < (0.03 if ending == ".mkv" else 1e-9)
    np.testing.assert_allclose(np.array(later) - shift, times, atol=6e-4 if ending == ".mkv" else 1e-9)
    assert np.abs(after.astype(int) - twice(before, None)).mean() < 3
    assert [data for _, data in sound_of(target)] == [data for _, data in sound_of(clip)]
    starts = [np.array([time for time, _ in sound_of(path)]) for path in (clip, target)]
    np.testing.assert_allclose(starts[1] - shift, starts[0], atol=1.1e-3 if ending == ".mkv" else 1e-9)
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("ending", [".mov", ".mp4", ".mkv"])
def test_when_where_and_by_what_a_phone_took_a_clip_stays(tmp_path, ending):
    said = {f"com.apple.quicktime.{key}": key for key in ("creationdate", "location.ISO6709", "make", "model")}
    source = tmp_path / "phone.mov"
    with (
        av.open(str(write_clip(tmp_path / "plain.mov", [scene(0)] * 3, sound=False))) as plain,
        av.open(str(source), "w", options={"movflags": "use_metadata_tags"}) as file,
    ):
        stream = file.add_stream_from_template(plain.streams.video[0])
        file.metadata.update(said)
        for packet in plain.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
    enhance(source, tmp_path / f"bright{ending}")
    with av.open(str(tmp_path / f"bright{ending}")) as file:
        found = {key.lower(): value for key, value in file.metadata.items()}
    assert {key.lower(): value for key, value in said.items()}.items() <= found.items()
    assert found.get("major_brand") != "qt  " or ending == ".mov"


@pytest.mark.parametrize("count", [7, 107])
def test_no_frame_is_lost_however_few_the_last_segment_has(tmp_path, count):
    """Of a segment of 7 frames FFmpeg tells no time of decoding."""
    source = write_clip(tmp_path / "clip.mp4", [scene(0) // (5 + i % 3) for i in range(count)])
    enhance(source, tmp_path / "out.mp4")
    (before, times), (after, later) = frames_of(source), frames_of(tmp_path / "out.mp4")
    assert later == times
    assert np.abs(after.astype(int) - twice(before, None)).mean() < 3


def test_a_result_that_would_lack_a_frame_is_not_given_its_name(clip, tmp_path, monkeypatch):
    packets = video._packets
    monkeypatch.setattr(video, "_packets", lambda *facts: islice(packets(*facts), 1, None))
    with pytest.raises(ImageError, match=r"out.mp4 would not have all frames. Received: 49 of 50\."):
        enhance(clip, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("error", [ImageError("the disk is full"), KeyboardInterrupt()], ids=["full", "Ctrl-C"])
@pytest.mark.parametrize("within", [False, True])
def test_a_clip_that_fails_midway_leaves_its_worker_free(clip, tmp_path, error, within):
    """Else who ends the worker waits for ever; the error keeps alive whatever was under way."""

    def fail(*_):
        raise error

    done = []
    with Worker() as worker:
        task = SimpleNamespace(photo=Clip(clip, tmp_path / "out.mp4", "", worker))
        session = SimpleNamespace(enhance=fail if within else lambda photo, *_: photo)

        def track(frames, *_, **__):
            for frame in frames:
                done.append(frame)
                yield frame if within else fail()

        with pytest.raises(type(error)) as caught:
            _enhance(task, session, EnhanceSettings(), SimpleNamespace(track=track))
        free = worker.lock.acquire(timeout=1)
        worker.lock.release()  # whoever has it, so that this test ends
        assert free
        assert worker.call(read_head, clip).frames == 50
    assert caught.value is error
    assert done


def test_an_interrupted_run_is_gone_on_with_and_gives_the_same(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "SEGMENT", 15)
    enhance(clip, tmp_path / "whole.mp4", by_overview)
    target = tmp_path / "out" / "bright.mp4"
    enhance(clip, target, by_overview, frames=37)
    assert not target.exists()
    ran = []

    def counted(pixels, small):
        ran.append(1)
        return by_overview(pixels, small)

    enhance(clip, target, counted)
    assert len(ran) == 50 - 30
    np.testing.assert_array_equal(frames_of(target)[0], frames_of(tmp_path / "whole.mp4")[0])
    assert frames_of(target)[1] == frames_of(clip)[1]
    assert [path.name for path in target.parent.iterdir()] == ["bright.mp4"]


def by_overview(pixels, small):
    """What depends on all frames around."""
    return np.clip(pixels * (0.4 / small[..., :3].mean()), 0, 255).astype(np.uint8)


def test_what_another_model_has_left_is_thrown_away(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "SEGMENT", 15)
    enhance(clip, tmp_path / "bright.mp4", twice, "model 9", frames=40)
    enhance(clip, tmp_path / "bright.mp4", lambda pixels, small: np.full_like(pixels, 99), "model 10")
    assert np.abs(frames_of(tmp_path / "bright.mp4")[0].astype(int) - 99).max() <= 2


def test_what_is_left_of_another_clip_of_that_name_is_thrown_away(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "SEGMENT", 15)
    source, target = tmp_path / "clip.mp4", tmp_path / "bright.mp4"
    enhance(write_clip(source, [scene(0) // 5] * 40), target, frames=35)
    enhance(write_clip(source, [np.full((48, 64, 3), 40, np.uint8)] * 40), target)
    assert np.abs(frames_of(target)[0].astype(int) - 80).max() <= 4


def test_colours_and_their_tags_stay(tmp_path):
    source = write_clip(tmp_path / "a.mkv", [np.full((48, 64, 3), colour, np.uint8) for colour in ((200, 50, 20), 90)])
    enhance(source, tmp_path / "b.mkv", lambda pixels, small: pixels)
    assert np.abs(frames_of(tmp_path / "b.mkv")[0].astype(int) - frames_of(source)[0]).max() <= 3
    with av.open(str(tmp_path / "b.mkv")) as file:
        codec = file.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt, codec.colorspace, codec.color_range) == ("h264", "yuv420p", 1, 1)


def test_ten_bits_are_run_as_sixteen(tmp_path):
    kinds = []

    def run(pixels, small):
        kinds.append((pixels.dtype, small.shape))
        return pixels

    source = write_clip(tmp_path / "a.mkv", [np.full((48, 64, 3), (200, 50, 20), np.uint8)] * 2, depth=10, sound=False)
    enhance(source, tmp_path / "b.mkv", run)
    assert kinds == [(np.uint16, (64, 64, 5))] * 2
    assert np.abs(frames_of(tmp_path / "b.mkv")[0].astype(int) - frames_of(source)[0]).max() <= 3


def test_a_clip_that_was_held_sideways_is_set_upright(tmp_path):
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :32] = 200
    source = write_clip(tmp_path / "a.mp4", [frame] * 3, sound=False)
    data = bytearray(source.read_bytes())
    matrix = data.index(b"tkhd") + 44  # version 0 of the box: ISO/IEC 14496-12, 8.3.2
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)  # clockwise
    source.write_bytes(data)
    enhance(source, tmp_path / "b.mp4", lambda pixels, small: pixels)
    with av.open(str(tmp_path / "b.mp4")) as file:
        (first, *_) = file.decode(video=0)
    pixels = first.to_ndarray(format="rgb24")
    assert (first.rotation, pixels.shape) == (0, (64, 48, 3))
    assert pixels[:30].min() > 190
    assert pixels[34:].max() < 10


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_clip_that_is_cut_short_is_refused_before_work_starts(tmp_path, ending):
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 50, (90, 48, 64, 3), np.uint8))
    whole = write_clip(tmp_path / f"whole{ending}", frames).read_bytes()
    for share in (0, 0.01, 0.5, 0.8):
        path = tmp_path / f"cut{ending}"
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ImageError, match=rf"cut{ending} (cannot be read: .*|is cut short: .*)\.$"):
            Clip(path, tmp_path / "out.mp4", "", Here())


@pytest.mark.parametrize(
    ("ending", "codec", "options"),
    [
        (".mp4", "mjpeg", {"movflags": "frag_keyframe+empty_moov"}),
        (".avi", "mjpeg", {}),
        (".ts", "mpeg2video", {}),
        (".m2ts", "mpeg2video", {"mpegts_m2ts_mode": "1"}),
        (".mpg", "mpeg2video", {}),
    ],
)
def test_a_recording_that_was_broken_off_is_enhanced_with_a_word(tmp_path, ending, codec, options):
    """As by a dashcam that lost its power: nothing tells how long it should be."""
    source = tmp_path / f"broken{ending}"
    with av.open(str(source), "w", options=options) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = 1
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(scene(number)[:48, :64].copy(), format="rgb24")
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert read_head(source).notes == ()
    source.write_bytes(source.read_bytes()[: int(source.stat().st_size * 0.7)])
    clip = Clip(source, tmp_path / "out.mp4", "", Here())
    assert clip.notes == (BROKEN_OFF,)
    assert 15 < len([*clip.look()]) < 25


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_clip_that_does_not_begin_at_0_is_not_cut_short(tmp_path, ending):
    source = write_clip(tmp_path / f"late{ending}", [scene(0)] * 4, 450000 + 3000 * np.arange(4), sound=False)
    assert Clip(source, tmp_path / f"out{ending}", "", Here()).frames == 4


@pytest.mark.skipif(os.name != "posix", reason="by POSIX' limits on files")
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_disk_that_becomes_full_is_told_in_true_words(tmp_path, share):
    """While segments are written, as they are closed, and while they are joined."""
    frames = list(np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), np.uint8))
    source, target = write_clip(tmp_path / "noise.mp4", frames), tmp_path / "out.mp4"
    size = enhance(source, tmp_path / "whole.mp4").target.stat().st_size
    with (
        files_of_at_most(int(share * size)),
        pytest.raises(ImageError, match=r"out.mp4 cannot be written: File too large\.$"),
    ):
        enhance(source, target)
    assert not target.exists()


def test_what_is_no_clip_or_cannot_become_one_is_told(clip, tmp_path):
    (tmp_path / "diary.mp4").write_text("Dear diary")
    with pytest.raises(ImageError, match=r"diary.mp4 cannot be read: Invalid data"):
        Clip(tmp_path / "diary.mp4", tmp_path / "out.mp4", "", Here())
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ImageError, match=r"empty.mp4 cannot be read: it is empty\.$"):
        Clip(tmp_path / "empty.mp4", tmp_path / "out.mp4", "", Here())
    whole = clip.read_bytes()
    (tmp_path / "flat battery.mp4").write_bytes(whole[: whole.index(b"moov") - 4])
    with pytest.raises(ImageError, match=r"battery.mp4 cannot be read: its index is missing"):
        Clip(tmp_path / "flat battery.mp4", tmp_path / "out.mp4", "", Here())
    (tmp_path / "lost.mp4").write_bytes(whole[: whole.index(b"moov") + 300])
    with pytest.raises(ImageError, match=r"lost.mp4 cannot be read: its index is cut short\.$"):
        Clip(tmp_path / "lost.mp4", tmp_path / "out.mp4", "", Here())
    far = struct.pack(">I4sQ", 1, b"free", 2**64 - 20)
    (tmp_path / "far.mp4").write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + far + b"moov")
    with pytest.raises(ImageError, match=r"far.mp4 cannot be read: its index is missing"):
        Clip(tmp_path / "far.mp4", tmp_path / "out.mp4", "", Here())
    with pytest.raises(ImageError, match=r"gone.mp4 cannot be read: No such file"):
        Clip(tmp_path / "gone.mp4", tmp_path / "out.mp4", "", Here())
    with pytest.raises(ImageError, match=r"Received: out.jpg. Known: .m4v, .mkv"):
        Clip(clip, tmp_path / "out.jpg", "", Here())
    with av.open(str(tmp_path / "song.mp4"), "w") as file:
        file.mux(file.add_stream("aac", rate=SOUND).encode(None))
    with pytest.raises(ImageError, match=r"song.mp4"):
        Clip(tmp_path / "song.mp4", tmp_path / "out.mp4", "", Here())


def test_a_container_that_cannot_hold_the_sound_is_refused_before_work_starts(tmp_path):
    source = tmp_path / "opus.mkv"
    with av.open(str(source), "w") as file:
        stream, tone = file.add_stream("libx264", rate=30), file.add_stream("libopus", rate=SOUND)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
        silence.rate = SOUND
        file.mux(tone.encode(silence))
        file.mux(tone.encode(None))
    with pytest.raises(
        ImageError, match=r"^.mov cannot hold the sound of .*opus.mkv. Received: opus. Name the result .mkv"
    ):
        Clip(source, tmp_path / "out.mov", "", Here())
    Clip(source, tmp_path / "out.mkv", "", Here())


def test_without_pyav_the_error_says_how_to_install_it(clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageError, match=r"needs av to be read. Install it: pip install av$"):
        Clip(clip, tmp_path / "out.mp4", "", Here())


@pytest.mark.filterwarnings("ignore")
def test_clips_that_are_named_are_enhanced_among_photos_and_told_in_json(photos, tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.mp4", [scene(0) // 5] * 5)
    (tmp_path / "model").mkdir()
    save_model(tmp_path / "model")
    (tmp_path / "cut.mkv").write_bytes(b"nothing")
    options = {"model": str(tmp_path / "model"), "json": str(tmp_path / "log")}
    settings = EnhanceSettings((photos, clip, tmp_path / "cut.mkv"), tmp_path / "out", format="jpg", **options)
    assert enhance_all(settings) == 1
    said = capsys.readouterr()
    assert "4 done, 0 skipped, 1 failed" in said.out
    assert said.err == f"failed: {tmp_path / 'cut.mkv'} cannot be read: Invalid data found when processing input.\n"
    records = {record["in"]: record for record in map(json.loads, (tmp_path / "log").read_text().splitlines())}
    assert records[str(clip)]["frames"] == 5
    assert records[str(clip)]["out_bytes"] == (tmp_path / "out" / "clip.mp4").stat().st_size
    assert frames_of(tmp_path / "out" / "clip.mp4")[0].mean() > 2 * frames_of(clip)[0].mean()
    before = clip.read_bytes()
    assert enhance_all(EnhanceSettings((clip,), in_place=True, **options)) == 0
    assert (tmp_path / "clip.mp4.orig").read_bytes() == before
    assert frames_of(clip)[0].mean() > 80


def test_folders_are_searched_for_photos_alone_and_clips_keep_their_container_where_it_can_be_written(photos, tmp_path):
    for name in ("a.MP4", "b.avi", "c.mkv"):
        (photos / name).touch()
    assert len(plan(EnhanceSettings((photos,), tmp_path))) == 3
    found = plan(EnhanceSettings((photos / "?.*",), tmp_path / "out", format="png"))
    assert [job.target.name for job in found] == ["a.MP4", "b.mkv", "c.mkv"]
    (job,) = plan(EnhanceSettings((photos / "b.avi",), tmp_path / "new.mov"))
    assert job.target == tmp_path / "new.mov"
