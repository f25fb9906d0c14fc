"""The sound of a clip on its way into the result: packets as they are or, where Matroska has no place for them, PCM."""

import io
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from lowlight.io.clip import gap, reading
from lowlight.io.clip_write import language
from lowlight.io.photo import ImageError

ANY = "matroska"
"""The container that holds any sound, as PCM if not as it is."""

USUAL = {"1 channels": "mono", "2 channels": "stereo"}
"""What FFmpeg calls sound of which nothing says where its channels are, and what players take it for."""

DEEP = {"s32", "s32p"}
"""Formats of decoded sound that need 24 bits; decoders of what was packed with a loss give floats."""


def refuse(path: Path, target: Path, form: str) -> tuple[str, ...]:
    """Before hours of work: look whether a container takes the sound of a clip.

    Returns
    -------
    tuple of str
        What does not stay as it is, each as a phrase.

    Raises
    ------
    ImageError
        If it does not, and is not the one that holds any.
    """
    notes = []
    with reading(path) as source:
        for sound in source.streams.audio:
            if not _is_known(sound):
                notes.append("a sound track that is empty, or of a kind that is not known, is left out")
            elif not _is_held(sound, form):
                name = sound.codec_context.name
                if form != ANY:
                    raise ImageError(
                        f"{target.suffix} cannot hold the sound of {path}. Received: {name}. Name the result .mkv, "
                        "which holds any sound."
                    )
                notes.append(f"its sound ({name}) is written as PCM, without loss")
    return tuple(dict.fromkeys(notes))


def add(source, joined, strip_metadata: bool = False) -> dict[int, Any]:
    """Make room for the sound of a clip in its result; the streams, by the index of those that they come from.

    Without metadata, such as who or what recorded it, its language stays: players choose by it.
    """
    made = {}
    for sound in source.streams.audio:
        codec = sound.codec_context
        if not _is_known(sound):
            continue
        if _is_held(sound, joined.format.name):
            stream = _as_it_is(sound, joined)
        else:
            kind = "pcm_s24le" if codec.format.name in DEEP else "pcm_s16le"
            stream = joined.add_stream(kind, rate=codec.sample_rate, layout=codec.layout)
        if not strip_metadata:
            stream.metadata.update(sound.metadata)
        if sound.language:
            stream.metadata["language"] = language(sound.language, joined.format.name)
        stream.disposition = sound.disposition  # which of several is played
        made[sound.index] = stream
    return made


def packets(source, streams: dict[int, Any]) -> Iterator[Any]:
    """The packets of a clip's sound for the streams that `add` has made."""
    import av

    if not streams:
        return
    resamplers = {
        index: av.AudioResampler(format=stream.codec_context.format)
        for index, stream in streams.items()
        if stream.codec_context.is_encoder
    }
    ends: dict[int, tuple[Any, Any]] = {}
    for packet in _heard(source.demux(*(source.streams[index] for index in streams)), resamplers):
        index, stream = packet.stream.index, streams[packet.stream.index]
        for part in _as_pcm(packet, resamplers[index], stream) if index in resamplers else [packet]:
            if not part.size:
                continue
            time = part.pts if part.dts is None else part.dts
            last, end = ends.get(index, (-math.inf, 0 if time is None else time))
            if time is None or not last < time < end + 1 + gap(source) / part.time_base:
                part.pts = time = end  # as where recordings were joined: each begins anew
            part.dts, part.stream = time, stream
            ends[index] = time, time + max(1, part.duration or 0)
            yield part


def _heard(packets, decoded) -> Iterator[Any]:
    """Without what an edit list cuts off, as phones trim clips, but for the packet that decoders begin with.

    Of tracks that are decoded all packets stay: the decoder knows what is cut off.
    """
    before: dict[int, Any] = {}
    begun = set(decoded)
    for packet in packets:
        index = packet.stream.index
        if packet.is_discard and index not in decoded:
            before[index] = packet
            continue
        if packet.size and index not in begun:
            begun.add(index)
            if index in before:
                yield before[index]
        yield packet


def _as_pcm(packet, resampler, stream) -> Iterator[Any]:
    import av

    with suppress(av.error.InvalidDataError):  # what is broken of it stays silent
        for frame in packet.decode():
            for part in resampler.resample(frame):
                yield from stream.encode(part)


def _as_it_is(sound, joined):
    """A stream for packets of such sound; containers that take no sound without it are told where its channels are."""
    stream, layout = joined.add_stream_from_template(sound), sound.codec_context.layout.name
    if layout in USUAL:
        stream.codec_context.layout = USUAL[layout]
    return stream


def _is_known(sound) -> bool:
    """Whether there is a decoder, and anything in it that told of its rate."""
    return sound.codec_context is not None and bool(sound.codec_context.sample_rate)


def _is_held(sound, form) -> bool:
    """Whether a container takes packets of such sound; it tells once its header is written, or at its end."""
    import av

    try:
        with av.open(io.BytesIO(), "w", format=form) as trial:
            stream = _as_it_is(sound, trial)
            trial.start_encoding()
            if sound.codec_context.name.startswith("pcm_"):  # of others a packet would have to be a true one
                silence = av.Packet(bytes(48 * sound.codec_context.layout.nb_channels))
                silence.pts, silence.dts, silence.stream = 0, 0, stream
                trial.mux(silence)
    except (av.FFmpegError, ValueError):
        return False
    return True
