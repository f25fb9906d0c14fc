"""JPEGs that are damaged amid their pixels are told, others are not."""

import io
import logging

import numpy as np
import pytest
import tifffile
from PIL import Image

from lowlight.io.photo import ImageError, read_photo
from tests.conftest import scene

RESTARTS = [bytes([0xFF, 0xD0 + number]) for number in range(8)]

KINDS = {
    "RGB": ({"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"keep_rgb": True}, {"progressive": True}),
    "L": ({}, {"progressive": True}),
    "CMYK": ({},),
}


def jpeg(mode="RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(scene(1, 403, 601)).convert(mode).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


def told(data, frame=None) -> str:
    try:
        return " ".join(read_photo(io.BytesIO(data), frame=frame).notes)
    except ImageError as error:  # of tables between the scans of what is progressive
        return str(error)


def changed(data, place, to) -> bytes:
    return data[:place] + to + data[place + len(to) :]


@pytest.mark.parametrize(("mode", "options"), [(mode, options) for mode, kinds in KINDS.items() for options in kinds])
def test_damage_is_told_of_jpegs_of_each_kind_and_of_whole_ones_it_is_not(mode, options):
    data, rng = jpeg(mode, **options), np.random.default_rng(1)
    assert told(data) == ""
    middle = range(len(data) // 2, len(data) // 2 + 2000, 100)
    found = [told(changed(data, place, rng.integers(1, 255, 64, np.uint8).tobytes())) for place in middle]
    assert sum("it is damaged, and part of the picture may be wrong (libjpeg: " in note for note in found) > 10


def test_intervals_that_are_lost_or_out_of_order_are_told():
    data = jpeg(restart_marker_blocks=20)
    assert told(data) == ""
    places = [data.index(mark, data.index(RESTARTS[0])) for mark in RESTARTS]
    lost = data[: places[2]] + data[places[4] :]
    assert "found marker 0xd4 instead of RST2" in told(lost)
    assert "instead of RST3" in told(changed(data, places[3], RESTARTS[6]))


@pytest.mark.parametrize("parts", [{"rowsperstrip": 32}, {"tile": (64, 64)}], ids=["strips", "tiles"])
def test_damage_in_a_tiff_that_is_packed_as_jpeg_is_told_of_the_page_that_is_read(parts):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        for number in (1, 2):
            tiff.write(scene(number, 384, 576), photometric="rgb", compression="jpeg", metadata=None, **parts)
    data = file.getvalue()
    page = tifffile.TiffFile(io.BytesIO(data)).pages[1]
    assert ["damaged" in told(data, frame) for frame in (1, 2)] == [False, False]
    rng = np.random.default_rng(1)
    for place, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        data = changed(data, place + length - 100, rng.integers(1, 255, 64, np.uint8).tobytes())
    notes = [told(data, frame) for frame in (1, 2)]
    assert notes[0] == ""
    assert notes[1].count("it is damaged") == 1


def test_what_cameras_fill_up_with_before_the_end_is_no_damage_and_pixels_too_many_are():
    data = jpeg()
    assert told(data[:-2] + bytes(40) + data[-2:]) == ""
    assert "extraneous bytes before marker 0xd9" in told(data[:-2] + b"\x17" * 40 + data[-2:])
    assert told(data[:20] + bytes(5) + data[20:]) == ""  # behind the segment of JFIF


def test_what_is_taken_from_the_log_of_imagecodecs_stays_out_of_that_of_others(caplog):
    data = jpeg()
    with caplog.at_level(logging.DEBUG):
        assert "damaged" in told(changed(data, len(data) // 2, b"\0" * 8))
        assert not caplog.records
        logging.getLogger("imagecodecs").warning("another")
        assert caplog.messages == ["another"]
