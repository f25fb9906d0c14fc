"""What a clip has beside its pictures: sound of any kind, times, languages, chapters; and what of it is left out."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from lowlight.inference.video import Clip, is_clip
from lowlight.io.clip import read_head
from lowlight.io.photo import ImageError
from tests.conftest import Here, scene
from tests.test_video import SOUND, enhance, frames_of, sound_of, twice, write_clip

LEFT_OUT = "a sound track that is empty, or of a kind that is not known, is left out"


def with_tone(path, codec, layout="stereo", form="s16"):
    """Half a second of frames and of noise, as some codec packs it; the noise, (samples, channels)."""
    noise = np.random.default_rng(0).integers(-(2**15), 2**15, (SOUND // 2, 2), np.int16)
    with av.open(str(path), "w") as file:
        stream, tone = file.add_stream("libx264", rate=30), file.add_stream(codec, rate=SOUND, layout=layout)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(15):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(0), format="rgb24")))
        for start in range(0, len(noise), 240):
            block = av.AudioFrame.from_ndarray(noise[start : start + 240].reshape(1, -1), format=form, layout=layout)
            block.pts, block.rate = start, SOUND
            file.mux(tone.encode(block))
        file.mux(stream.encode(None))
        file.mux(tone.encode(None))
    return noise


def mux_into(file, packet, streams):
    """A packet into each of some streams."""
    for stream in streams if packet.dts is not None else ():
        copy = av.Packet(bytes(packet))
        copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
        copy.duration, copy.is_keyframe, copy.stream = packet.duration, packet.is_keyframe, stream
        file.mux(copy)


def later(path, target, hours):
    """A transport stream with other times."""
    with av.open(str(path)) as clip, av.open(str(target), "w") as late:
        streams = [late.add_stream_from_template(stream, opaque=True) for stream in clip.streams]
        for packet in clip.demux():
            if packet.dts is not None:
                units = round(hours * 3600 / packet.time_base)
                packet.pts, packet.dts = packet.pts + units, packet.dts + units
                packet.stream = streams[packet.stream.index]
                late.mux(packet)
    return target


def test_sound_that_matroska_has_no_place_for_comes_out_as_pcm_without_loss(tmp_path):
    """As that of a Blu-ray's and some camcorders' .m2ts."""
    noise = with_tone(tmp_path / "camcorder.m2ts", "pcm_bluray")
    clip = enhance(tmp_path / "camcorder.m2ts", tmp_path / "out.mkv")
    assert clip.notes == ("its sound (pcm_bluray) is written as PCM, without loss",)
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert file.streams.audio[0].codec_context.name == "pcm_s16le"
        parts = [frame.to_ndarray().reshape(-1, 2) for frame in file.decode(audio=0)]
    np.testing.assert_array_equal(np.concatenate(parts), noise)
    starts = [sound_of(path)[0][0] - frames_of(path)[1][0] for path in (clip.source, clip.target)]
    assert abs(starts[1] - starts[0]) < 2e-3


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
@pytest.mark.parametrize("name", ["camera.avi", "recorder.mkv"])
def test_pcm_that_does_not_say_where_its_channels_are_is_taken_as_it_is(tmp_path, name, ending):
    """As from cameras of old, in containers that have no words for it; .mp4 takes it only with."""
    noise = with_tone(tmp_path / name, "pcm_s16le")
    with av.open(str(tmp_path / name)) as file:
        assert file.streams.audio[0].codec_context.layout.name == "2 channels"
    assert enhance(tmp_path / name, tmp_path / f"out{ending}").notes == ()
    with av.open(str(tmp_path / f"out{ending}")) as file:
        assert file.streams.audio[0].codec_context.name == "pcm_s16le"
        parts = [frame.to_ndarray().reshape(-1, 2) for frame in file.decode(audio=0)]
    np.testing.assert_array_equal(np.concatenate(parts), noise)


def test_sound_that_a_container_only_refuses_at_its_end_is_refused_before_work_starts(tmp_path):
    with_tone(tmp_path / "rare.mkv", "pcm_s16le", "3 channels")
    with pytest.raises(ImageError, match="cannot hold the sound of"):
        enhance(tmp_path / "rare.mkv", tmp_path / "out.mp4")


def test_sound_that_nobody_can_decode_is_left_out_with_a_word(tmp_path):
    """As the second, spatial one that phones put beside the usual."""
    data = bytearray(write_clip(tmp_path / "phone.mp4", [scene(0)] * 15).read_bytes())
    for name, other in ((b"mp4a", b"apac"), (b"esds", b"free")):
        place = data.index(name, data.index(b"moov"))
        data[place : place + 4] = other
    (tmp_path / "phone.mp4").write_bytes(data)
    clip = enhance(tmp_path / "phone.mp4", tmp_path / "out.mp4")
    assert clip.notes == (LEFT_OUT,)
    assert len(frames_of(tmp_path / "out.mp4")[0]) == 15


def test_a_sound_track_without_anything_in_it_does_not_stop_a_clip(tmp_path):
    """As of a camera whose microphone is off, or of a broadcast."""
    data = write_clip(tmp_path / "on.ts", [scene(0)] * 15).read_bytes()
    packets = [data[place : place + 188] for place in range(0, len(data), 188)]
    (tmp_path / "off.ts").write_bytes(b"".join(p for p in packets if (p[1] & 31, p[2]) != (1, 1)))
    clip = enhance(tmp_path / "off.ts", tmp_path / "out.mp4")
    assert clip.notes == (LEFT_OUT,)
    assert len(frames_of(tmp_path / "out.mp4")[0]) == 15


@pytest.mark.parametrize("hours", [0, 1])
def test_recordings_joined_into_one_file_go_on_where_the_one_before_ended(tmp_path, hours):
    """Their times begin anew, as where .ts or .mts files were put one behind the other, or an hour later."""
    one = write_clip(tmp_path / "one.ts", [scene(0)] * 30)
    (tmp_path / "both.ts").write_bytes(one.read_bytes() + later(one, tmp_path / "later.ts", hours).read_bytes())
    enhance(tmp_path / "both.ts", tmp_path / "out.mkv")
    times, sound = frames_of(tmp_path / "out.mkv")[1], [time for time, _ in sound_of(tmp_path / "out.mkv")]
    assert len(times) == 60
    assert len(sound) == 2 * len(sound_of(one))
    for found, step in ((times, 1 / 30), (sound, 1024 / SOUND)):
        np.testing.assert_allclose(np.diff(found), step, atol=2e-3)


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_recording_of_what_has_run_for_hours_begins_at_0_and_stays_in_time_with_its_sound(tmp_path, ending):
    source = later(write_clip(tmp_path / "clip.ts", [scene(0)] * 15), tmp_path / "broadcast.ts", 9)
    enhance(source, tmp_path / f"out{ending}")
    with av.open(str(source)) as before, av.open(str(tmp_path / f"out{ending}")) as after:
        assert before.start_time > 9 * 3600e6
        assert after.start_time < 0.1e6
        assert after.duration < 1e6
    apart = [sound_of(path)[0][0] - frames_of(path)[1][0] for path in (source, tmp_path / f"out{ending}")]
    assert abs(apart[1] - apart[0]) < 2e-3


def test_pictures_lie_beside_their_sound_in_the_file_also_of_a_long_clip(tmp_path):
    """Muxers sort by time what is no more than 10 s apart; players of the rest would have to jump."""
    source = write_clip(tmp_path / "clip.mp4", [scene(0)] * 100, 54000 * np.arange(100))
    enhance(source, tmp_path / "out.mkv")
    latest = {"video": 0.0, "audio": 0.0}
    with av.open(str(tmp_path / "out.mkv")) as file:
        for packet in file.demux():
            if packet.pts is not None:
                latest[packet.stream.type] = float(packet.pts * packet.time_base)
                assert abs(latest["video"] - latest["audio"]) < 1
    assert min(latest.values()) > 58


def trimmed(path, seconds):
    """As phones trim a clip: all stays in the file, and an edit list says where it begins (ISO/IEC 14496-12, 8.6.6)."""
    data = bytearray(path.read_bytes())
    head = data.index(b"mvhd")
    (units,) = struct.unpack_from(">I", data, head + 16)  # a second, of version 0 of the box, as below

    def shorten(at):
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] - units * seconds)

    shorten(head + 20)
    for track in (data.index(b"trak"), data.rindex(b"trak")):
        shorten(data.index(b"tkhd", track) + 24)
        (scale,) = struct.unpack_from(">I", data, data.index(b"mdhd", track) + 16)
        at = data.index(b"elst", track) + 12
        shorten(at)
        (start,) = struct.unpack_from(">i", data, at + 4)
        struct.pack_into(">i", data, at + 4, start + seconds * scale)
    path.write_bytes(data)


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_sound_that_was_trimmed_off_does_not_come_back(tmp_path, ending):
    source, target = write_clip(tmp_path / "a.mp4", [scene(0)] * 60), tmp_path / f"out{ending}"
    trimmed(source, 1)
    enhance(source, target)
    before, after = sound_of(source), sound_of(target)
    heard = [packet for time, packet in before if time > -2048 / SOUND]  # with that which the decoder begins with
    assert len(heard) < len(before) - 40
    assert [packet for _, packet in after] == heard
    shift = frames_of(target)[1][0] - frames_of(source)[1][0]  # Matroska has no times below zero
    assert 0 <= shift < 2048 / SOUND
    assert after[-1][0] - shift == pytest.approx(before[-1][0], abs=2e-3)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_what_android_says_of_the_phone_and_of_slow_motion_stays(tmp_path, ending):
    said = {"com.android.version": "13", "com.android.model": "Pixel 8", "com.android.capture.fps": "240.0"}
    plain, source, target = tmp_path / "plain.mp4", tmp_path / "phone.mp4", tmp_path / f"out{ending}"
    with (
        av.open(str(write_clip(plain, [scene(0)] * 3, sound=False))) as clip,
        av.open(str(source), "w", options={"movflags": "use_metadata_tags"}) as file,
    ):
        file.metadata.update(said | {"location": "+48.2000+011.5000/"})
        stream = file.add_stream_from_template(clip.streams.video[0], opaque=True)
        for packet in clip.demux(video=0):
            mux_into(file, packet, [stream])
    enhance(source, target)
    with av.open(str(target)) as file:
        found = {key.lower(): value for key, value in file.metadata.items()}
    assert said.items() <= found.items()
    assert found["location"] == "+48.2000+011.5000/"


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_languages_chapters_and_timecode_stay_and_what_is_left_out_is_told(tmp_path, ending):
    source, target = tmp_path / "film.mp4", tmp_path / f"out{ending}"
    chapter = {"id": 1, "start": 0, "end": 250, "time_base": Fraction(1, 1000), "metadata": {"title": "Night"}}
    with av.open(str(write_clip(tmp_path / "clip.mp4", [scene(0)] * 15))) as clip, av.open(str(source), "w") as film:
        pictures, *sounds = (film.add_stream_from_template(clip.streams[number], opaque=True) for number in (0, 1, 1))
        pictures.codec_context.framerate = 30
        pictures.metadata["timecode"], film.metadata["title"] = "01:02:03:04", "A film"
        for sound, language, played in zip(sounds, ("deu", "eng"), (0, 1), strict=True):
            sound.metadata["language"], sound.disposition = language, played
        film.set_chapters([chapter])
        cover = film.add_stream("mjpeg", width=64, height=48, pix_fmt="yuvj420p")
        cover.disposition = Disposition.attached_pic
        for packet in clip.demux():
            mux_into(film, packet, [pictures] if packet.stream.type == "video" else sounds)
        film.mux(cover.encode(av.VideoFrame.from_ndarray(scene(0), format="rgb24").reformat(format="yuvj420p")))
        film.mux(cover.encode(None))
    assert enhance(source, target).notes == ("its cover picture is left out",)
    with av.open(str(target)) as file:
        assert [(sound.language, int(sound.disposition)) for sound in file.streams.audio] == [("deu", 0), ("eng", 1)]
        assert [found["metadata"] for found in file.chapters()] == [{"title": "Night"}]
        told = {key.lower(): value for key, value in file.streams.video[0].metadata.items()}
        assert told.get("timecode") == "01:02:03:04"
        assert file.metadata["title"] == "A film"
    clip = Clip(source, target, "", Here())
    for _ in (*clip.look(), *clip.enhance(twice)):
        pass
    clip.write(strip_metadata=True)
    with av.open(str(target)) as file:
        assert not file.chapters()
        assert not {"title", "timecode"} & {key.lower() for key in (*file.metadata, *file.streams.video[0].metadata)}


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_chapters_of_a_clip_that_begins_late_begin_with_their_pictures(tmp_path, ending):
    plain, source, target = tmp_path / "plain.mp4", tmp_path / "late.mkv", tmp_path / f"out{ending}"
    write_clip(plain, [scene(0)] * 60, 90000 * 5 + 3000 * np.arange(60), sound=False)
    times = [(4900, 6000), (6000, 7000)]
    with av.open(str(plain)) as clip, av.open(str(source), "w") as file:
        stream = file.add_stream_from_template(clip.streams.video[0], opaque=True)
        milliseconds = {"time_base": Fraction(1, 1000), "metadata": {}}
        file.set_chapters([{"id": i, "start": a, "end": b} | milliseconds for i, (a, b) in enumerate(times, 1)])
        for packet in clip.demux(video=0):
            mux_into(file, packet, [stream])
    enhance(source, target)
    with av.open(str(target)) as file:
        found = [float(one[name] * one["time_base"]) for one in file.chapters() for name in ("start", "end")]
    assert found == pytest.approx([0, 1, 1, 2], abs=1e-3)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_without_metadata_a_clip_tells_of_its_sound_what_language_it_is_and_no_more(tmp_path, ending):
    source, target = tmp_path / f"phone{ending}", tmp_path / f"out{ending}"
    told = {"handler_name": "Jane's phone", "title": "Jane's voice", "language": "eng"}
    with av.open(str(write_clip(tmp_path / "clip.mp4", [scene(0)] * 15))) as clip, av.open(str(source), "w") as film:
        streams = [film.add_stream_from_template(stream, opaque=True) for stream in clip.streams]
        for part in (film, *streams):
            part.metadata.update(told)
        for packet in clip.demux():
            mux_into(film, packet, [streams[packet.stream.index]])
    for strip in (False, True):
        enhance(source, target, strip_metadata=strip)
        assert (b"Jane" in target.read_bytes()) == (not strip)
        with av.open(str(target)) as file:
            assert file.streams.audio[0].language == "eng"


def test_a_song_with_a_cover_is_no_clip(tmp_path):
    with av.open(str(tmp_path / "song.mp4"), "w") as file:
        tone = file.add_stream("aac", rate=SOUND)
        cover = file.add_stream("mjpeg", width=64, height=48, pix_fmt="yuvj420p")
        cover.disposition = Disposition.attached_pic
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        block.pts, block.rate = 0, SOUND
        picture = av.VideoFrame.from_ndarray(scene(0), format="rgb24").reformat(format="yuvj420p")
        for stream, content in ((tone, block), (cover, picture)):
            file.mux(stream.encode(content))
            file.mux(stream.encode(None))
    with pytest.raises(
        ImageError, match="is not a clip, whatever its name says: there is no picture in it but a cover"
    ):
        read_head(tmp_path / "song.mp4")


@pytest.mark.parametrize(("spoken", "kept"), [("deu", "ger"), ("nld", "dut"), ("ita", "ita")])
def test_languages_stay_in_quicktime_which_has_other_codes_for_some(tmp_path, spoken, kept):
    source, target = tmp_path / "film.mp4", tmp_path / "out.mov"
    with av.open(str(write_clip(tmp_path / "clip.mp4", [scene(0)] * 15))) as clip, av.open(str(source), "w") as film:
        streams = [film.add_stream_from_template(stream, opaque=True) for stream in clip.streams]
        for stream in streams:
            stream.metadata["language"] = spoken
        for packet in clip.demux():
            mux_into(film, packet, [streams[packet.stream.index]])
    enhance(source, target)
    with av.open(str(target)) as file:
        assert [stream.language for stream in file.streams] == [kept, kept]


def test_several_tracks_of_pictures_are_told(tmp_path):
    with (
        av.open(str(write_clip(tmp_path / "clip.mkv", [scene(0)] * 5))) as clip,
        av.open(str(tmp_path / "two.mkv"), "w") as two,
    ):
        streams = [two.add_stream_from_template(clip.streams.video[0], opaque=True) for _ in range(2)]
        for packet in clip.demux(video=0):
            mux_into(two, packet, streams)
    assert read_head(tmp_path / "two.mkv").notes == ("it has several tracks of pictures, of which one is read",)


@pytest.mark.parametrize("ending", [".vob", ".dv", ".m2t", ".m2v", ".mpe"])
def test_clips_of_camcorders_and_discs_are_known_by_their_names(tmp_path, ending):
    form = {".vob": "vob", ".dv": "dv", ".m2t": "mpegts", ".m2v": "mpeg2video", ".mpe": "mpeg"}[ending]
    assert is_clip(tmp_path / f"TAPE{ending.upper()}")
    with av.open(str(tmp_path / f"tape{ending}"), "w", format=form) as file:
        stream = file.add_stream("dvvideo" if ending == ".dv" else "mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((576, 720, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode(None))
    assert read_head(tmp_path / f"tape{ending}").frames == 3
