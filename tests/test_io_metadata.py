"""What is said about a result is true of it, and the rest stays as it was, as exiftool sees it."""

import dataclasses
import io
import json
import re
import shutil
import struct
import subprocess

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from lowlight.io import jpeg, xmp
from lowlight.io.exif import truthful
from lowlight.io.formats import FORMATS
from lowlight.io.photo import Photo, encode, notes_on, read_photo, write_photo
from tests.conftest import scene

WRITTEN = (".jpg", ".png", ".tif", ".webp", ".avif")

IPTC = b"\x1c\x02\x50\0\x08Jane Doe\x1c\x02\x78\0\x09A caption\x1c\x02\x19\0\x05night"


def exiftool(path, *options):
    """What a file says, by group and tag."""
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed (Debian: libimage-exiftool-perl)")
    done = subprocess.run(
        ["exiftool", "-j", "-G1", "-a", "-n", *options, path], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)[0]


def camera_exif(turned=6):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = turned, "Canon"
    exif[ExifTags.Base.Copyright] = "(c) J@@rgen"
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    inner[ExifTags.Base.ExifImageWidth], inner[ExifTags.Base.ExifImageHeight] = 40, 60
    inner[ExifTags.Base.ColorSpace], inner[ExifTags.Base.DateTimeOriginal] = 65535, "2024:01:02 03:04:05"
    inner[ExifTags.Base.OffsetTimeOriginal] = "+02:00"
    inner[ExifTags.IFD.Interop] = {1: "R03"}
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 8.0, 12.5), 3: "E", 4: (11.0, 34.0, 30.0)})
    return exif.tobytes().replace(b"J@@rgen", "Jürgen".encode())


def saved(path, **options):
    Image.fromarray(np.ascontiguousarray(np.rot90(scene(1, 40, 60)))).save(path, **options)
    return path


@pytest.mark.parametrize("turned", [1, 6])
def test_texts_of_an_avif_that_says_beside_its_exif_how_it_is_turned_are_kept(turned, tmp_path):
    """So libavif writes it; Pillow writes EXIF anew before, and so loses texts, which are put back into the file."""
    text, other = "Jürgen".encode(), b"J@@rgen"
    source = saved(tmp_path / "in.avif", exif=camera_exif(turned).replace(text, other))
    assert other in source.read_bytes()
    source.write_bytes(source.read_bytes().replace(other, text))
    photo = read_photo(source)
    assert photo.pixels.shape == ((40, 60, 3) if turned == 6 else (60, 40, 3))
    assert text in photo.exif


@pytest.mark.parametrize("suffix", WRITTEN)
def test_exif_says_what_is_written_and_all_else_stays(suffix, tmp_path):
    photo = read_photo(saved(tmp_path / "in.jpg", exif=camera_exif()))
    write_photo(tmp_path / f"out{suffix}", photo)
    said = exiftool(tmp_path / f"out{suffix}")
    assert (said["ExifIFD:ExifImageWidth"], said["ExifIFD:ExifImageHeight"]) == (60, 40)
    assert said["ExifIFD:ColorSpace"] == 1
    assert said["InteropIFD:InteropIndex"] == "R98"
    assert said.get("IFD0:Orientation", 1) == 1
    assert said["IFD0:Copyright"] == "(c) Jürgen"
    assert said["ExifIFD:DateTimeOriginal"] == "2024:01:02 03:04:05"
    assert said["ExifIFD:OffsetTimeOriginal"] == "+02:00"
    assert said["GPS:GPSLatitude"] == pytest.approx(48.13680, abs=1e-4)
    bare = tmp_path / f"bare{suffix}"
    write_photo(bare, photo, strip_metadata=True)
    assert not [name for name in exiftool(bare) if name.startswith(("ExifIFD", "GPS", "InteropIFD", "XMP", "IPTC"))]
    assert b"Canon" not in bare.read_bytes()


def test_makers_notes_stay_where_they_were():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"a note of the maker"
    block = exif.tobytes()[6:]
    after = truthful(exif.tobytes(), 4, 6)
    assert after.index(b"a note of the maker") == block.index(b"a note of the maker")
    assert len(after) == len(block)


def test_broken_exif_is_left_out_and_empty_exif_stays_empty():
    assert truthful(b"", 4, 6) == b""
    assert truthful(b"Exif\0\0II*\0\xff\xff\xff\x7f", 4, 6) == b""
    assert truthful(b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\0" * 40, 4, 6) == b""


TOLD = {0x8769: "how it was taken", 0x8825: "the place", 0xA005: "interoperability"}


@pytest.mark.parametrize("place", [0, 50000])
@pytest.mark.parametrize("tag", TOLD)
def test_a_table_that_is_not_where_exif_says_costs_itself_alone(tag, place, tmp_path):
    """EXIF's first word of each tag is its number; the last is where its table is (TIFF 6.0, section 2)."""
    source = saved(tmp_path / "in.jpg", exif=camera_exif())
    data, head = bytearray(source.read_bytes()), struct.pack(">HHI", tag, 4, 1)
    assert data.count(head) == 1
    at = data.index(head) + len(head)
    data[at : at + 4] = struct.pack(">I", place)
    source.write_bytes(data)
    photo = read_photo(source)
    assert photo.pixels.shape == (40, 60, 3)
    assert photo.notes == (f"its EXIF is broken in part; left out: {TOLD[tag]}",)
    counts = [struct.unpack_from(">H", block, 8)[0] for block in (photo.exif, truthful(photo.exif, 40, 60))]
    assert counts[0] - counts[1] == (tag != 0xA005)  # which is a tag of another table
    for suffix in WRITTEN:
        write_photo(tmp_path / f"out{suffix}", photo)
        again = read_photo(tmp_path / f"out{suffix}")
        assert (again.pixels.shape, again.notes) == ((40, 60, 3), ())
        with Image.open(tmp_path / f"out{suffix}") as written:
            said = written.getexif()
            assert said[ExifTags.Base.Make] == "Canon"
            for table in (0x8769, 0x8825):
                assert bool(said.get_ifd(table)) is (table in said) is (table != tag)
            assert (0xA005 in said.get_ifd(0x8769)) is (tag == 0x8825)


def packet(body, declared="", attributes=""):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" {declared}{attributes}>{body}'
        "<dc:title>kept &amp; &gt; whole</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize(
    ("space", "attributes", "body", "word"),
    [
        ("http://ns.google.com/photos/1.0/camera/", ' p:MotionPhoto="1" p:MicroVideoOffset="3024"', "", "video"),
        ("http://ns.google.com/photos/1.0/camera/", "", "<p:MotionPhoto>1</p:MotionPhoto>", "video"),
        ("http://ns.adobe.com/hdr-gain-map/1.0/", ' p:Version="1.0" p:GainMapMax="2.5"', "", "gain map"),
        (
            "http://ns.google.com/photos/1.0/container/",
            "",
            "<p:Directory><rdf:Seq><rdf:li><p:Item>jpeg</p:Item></rdf:li></rdf:Seq></p:Directory>",
            "",
        ),
        ("http://ns.google.com/photos/1.0/container/", "", "<p:Directory/>", ""),
        (
            "http://ns.adobe.com/tiff/1.0/",
            " p:Orientation='6' p:ImageWidth = '9'",
            "<p:ImageLength>9</p:ImageLength>",
            "",
        ),
        ("http://ns.adobe.com/exif/1.0/", ' p:PixelXDimension="40"', "<p:ColorSpace>65535</p:ColorSpace>", ""),
        ("http://purl.org/dc/terms/", ' p:provenance="self#jumbf=/c2pa/urn:uuid:1"', "", ""),
        ("http://ns.adobe.com/xmp/note/", ' p:HasExtendedXMP="0123"', "", ""),
        ("http://ns.apple.com/HDRGainMap/1.0/", "", "<p:HDRGainMapVersion>1</p:HDRGainMapVersion>", "gain map"),
    ],
)
def test_xmp_says_nothing_of_what_is_gone_under_any_prefix(space, attributes, body, word):
    for prefix in ("p", "other"):
        changed, inner = attributes.replace(" p:", f" {prefix}:"), body.replace("p:", f"{prefix}:")
        declared = f'xmlns:{prefix}="{space}"'
        before = packet(inner, declared, changed)
        assert xmp.truthful(before) == packet("", declared, "")
        if word:
            assert word in xmp.left_out(before)[0]


@pytest.mark.parametrize(
    ("mark", "word"),
    [
        (b"\xff\xd8\xff\xe2\0\x1eurn:iso:std:iso:ts:21496:-1\0", "gain map"),  # ISO 21496-1
        (b'<rdf:Description xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/"/>', "gain map"),
        (b'<rdf:Description xmlns:depthData="http://ns.apple.com/depthData/1.0/"/>', "depth map"),
        (b"MotionPhoto_Data\0\0\0\x18ftypmp42", "video"),  # of Samsung's older phones
    ],
)
def test_what_lies_behind_the_picture_of_a_jpeg_is_told(mark, word, tmp_path):
    source = saved(tmp_path / "in.jpg")
    source.write_bytes(source.read_bytes() + mark)
    (note,) = read_photo(source).notes
    assert word in note
    write_photo(tmp_path / "out.jpg", read_photo(source))
    assert read_photo(tmp_path / "out.jpg").notes == ()


@pytest.mark.skipif(".heic" not in FORMATS, reason="needs pillow-heif")
@pytest.mark.parametrize(
    ("kind", "word"), [(b"urn:mpeg:hevc:2015:auxid:2", "depth map"), (b"n:com:apple:aux:hdrgainmap", "gain map")]
)
def test_depth_and_gain_maps_of_a_heic_are_told(kind, word):
    """Made of a transparent one, whose second picture gets another name, as long."""
    transparent = Photo(np.full((64, 96, 3), 0.5, np.float32), np.full((64, 96), 9, np.uint8))
    data = encode(transparent, ".heic")
    assert data.count(b"urn:mpeg:hevc:2015:auxid:1") == 1
    (note,) = read_photo(io.BytesIO(data.replace(b"urn:mpeg:hevc:2015:auxid:1", kind))).notes
    assert word in note


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("before", [b"\0\0\0\0", b""], ids=["as it should be", "as by pillow-jxl"])
def test_metadata_of_a_jpeg_xl_is_read_packed_or_not(packed, before):
    """As cjxl packs it, by Brotli (ISO/IEC 18181-2); bytes that are no such thing cost themselves alone."""
    said = {b"Exif": before + camera_exif().removeprefix(b"Exif\0\0"), b"xml ": packet("", "", "")}
    data = imagecodecs.jpegxl_encode(scene(1, 40, 60), lossless=True, usecontainer=True)
    for kind, content in said.items():
        if packed:
            kind, content = b"brob", kind + imagecodecs.brotli_encode(content)
        data += struct.pack(">I4s", 8 + len(content), kind) + content
    photo = read_photo(io.BytesIO(data + struct.pack(">I4s4s", 17, b"brob", b"Exif") + b"\xff" * 5))
    assert (photo.exif, photo.xmp) == (said[b"Exif"].removeprefix(before), said[b"xml "])
    assert photo.notes == ()


@pytest.mark.parametrize("behind", [True, False], ids=["behind the picture", "before it"])
def test_metadata_of_a_jpeg_2000_is_read_and_turns_it(behind, tmp_path):
    """exiftool writes it at the end, others before the picture; and it reads what has become of it."""
    data = saved(tmp_path / "in.jp2", irreversible=False).read_bytes()
    place = len(data) if behind else data.index(b"jp2c") - 4
    said = {
        b"JpgTiffExif->JP2": camera_exif(6).removeprefix(b"Exif\0\0").replace(b"R03", b"R98"),
        bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): packet(
            "", 'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"', ' tiff:Orientation="6"'
        ),
        bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): IPTC,
    }
    boxes = b"".join(struct.pack(">I4s", 24 + len(text), b"uuid") + name + text for name, text in said.items())
    (tmp_path / "in.jp2").write_bytes(data[:place] + boxes + data[place:])
    photo = read_photo(tmp_path / "in.jp2")
    np.testing.assert_array_equal(photo.pixels * 255, scene(1, 40, 60))
    write_photo(tmp_path / "out.png", photo)
    before, after = exiftool(tmp_path / "in.jp2"), exiftool(tmp_path / "out.png")
    assert (before["IFD0:Orientation"], after["IFD0:Orientation"]) == (6, 1)
    for name in ("IFD0:Copyright", "ExifIFD:DateTimeOriginal", "GPS:GPSLatitude", "IPTC:Caption-Abstract"):
        assert after[name] == before[name]
    assert b"Orientation" not in photo.xmp
    assert photo.notes == ()


def test_xmp_without_anything_untrue_stays_as_it_is_and_entities_are_left_out():
    before = b'<?xpacket begin=""?>' + packet("", 'xmlns:xmp="http://ns.adobe.com/xap/1.0/"', ' xmp:Rating="5"')
    assert xmp.truthful(before + b"\n" * 40 + b'<?xpacket end="w"?>').startswith(before)
    assert xmp.truthful(b"<!DOCTYPE x [<!ENTITY a 'b'>]><x/>") == b""
    of_a_phone = packet("", 'xmlns:p="http://ns.google.com/photos/1.0/camera/"', ' p:SpecialTypeID="panorama"')
    assert xmp.truthful(of_a_phone) == of_a_phone


def test_extended_xmp_of_a_jpeg_is_left_out_with_a_word(tmp_path):
    source = saved(tmp_path / "in.jpg")
    data, guid = source.read_bytes(), b"0123456789ABCDEF" * 2
    main = packet("", 'xmlns:note="http://ns.adobe.com/xmp/note/"', f' note:HasExtendedXMP="{guid.decode()}"')
    extension = guid + struct.pack(">II", 100, 0) + b"x" * 100
    for content in (jpeg.EXTENDED_XMP_HEAD + extension, jpeg.XMP_HEAD + main):
        data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + data[2:]
    source.write_bytes(data)
    photo = read_photo(source)
    assert photo.notes == ("its extended XMP, beyond the first 64 KB, is left out",)
    write_photo(tmp_path / "out.jpg", photo)
    again = read_photo(tmp_path / "out.jpg")
    assert (again.xmp, again.notes) == (packet("", 'xmlns:note="http://ns.adobe.com/xmp/note/"'), ())


@pytest.mark.parametrize(("size", "kept"), [(65504, True), (65505, False)])
def test_a_jpeg_holds_as_much_xmp_as_fits_into_a_segment(size, kept, tmp_path):
    """65533 bytes beside the length of the segment (ITU-T T.81, B.1.1.4), of which the name of XMP takes 29."""
    photo = dataclasses.replace(read_photo(saved(tmp_path / "in.png")), xmp=b"<x/>".ljust(size))
    assert read_photo(io.BytesIO(encode(photo, ".jpg"))).xmp == (photo.xmp if kept else b"")
    assert bool(notes_on(photo, ".jpg")) == (not kept)


@pytest.mark.parametrize(
    ("form", "lost"),
    [
        (".jpg", ["text (Title)"]),
        (".png", []),
        (".tif", ["text"]),
        (".webp", ["IPTC", "text"]),
        (".bmp", ["EXIF", "XMP", "IPTC", "text"]),
    ],
)
def test_what_has_no_place_in_a_format_is_told(form, lost, tmp_path):
    text = {"Title": "night", "Comment": "a comment"}
    photo = dataclasses.replace(
        read_photo(saved(tmp_path / "in.jpg", exif=camera_exif())), xmp=b"<x/>", iptc=IPTC, text=text
    )
    assert [re.match(r"its (.*) is left out", note)[1] for note in notes_on(photo, form)] == lost
    assert notes_on(photo, form, strip_metadata=True) == []


def test_iptc_comments_texts_and_dots_per_inch_are_kept(tmp_path):
    source = saved(tmp_path / "in.jpg", dpi=(300, 200), comment=b"a comment")
    data = source.read_bytes()
    segment = jpeg.photoshop_with(IPTC)
    source.write_bytes(data[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + data[2:])
    photo = read_photo(source)
    for suffix in (".jpg", ".png", ".tif"):
        write_photo(tmp_path / f"out{suffix}", photo)
        said = exiftool(tmp_path / f"out{suffix}")
        assert (said["IPTC:By-line"], said["IPTC:Caption-Abstract"]) == ("Jane Doe", "A caption")
        again = read_photo(tmp_path / f"out{suffix}")
        assert again.iptc == IPTC
        assert again.dpi == pytest.approx((300, 200), abs=0.1) or suffix == ".tif"
        with Image.open(tmp_path / f"out{suffix}") as written:
            assert written.info["dpi"] == pytest.approx((300, 200), abs=0.1)
        write_photo(tmp_path / f"bare{suffix}", photo, strip_metadata=True)
        assert not any(word in (tmp_path / f"bare{suffix}").read_bytes() for word in (b"Jane", b"a comment"))
    assert exiftool(tmp_path / "out.jpg")["File:Comment"] == "a comment"
    assert exiftool(tmp_path / "out.png")["PNG:Comment"] == "a comment"
    with Image.open(tmp_path / "out.tif") as written:
        assert written.info["dpi"] == pytest.approx((300, 200))


def test_texts_of_a_png_are_kept_in_any_language(tmp_path):
    text = PngInfo()
    text.add_text("Author", "Jürgen")
    text.add_itxt("Title", "夜", "ja", "題")
    text.add_text("Description", "long " * 100, zip=True)
    saved(tmp_path / "in.png", pnginfo=text, dpi=(72, 72))
    write_photo(tmp_path / "out.png", read_photo(tmp_path / "in.png"))
    with Image.open(tmp_path / "out.png") as written:
        assert written.text == {"Author": "Jürgen", "Title": "夜", "Description": "long " * 100}
        assert written.info["dpi"] == pytest.approx((72, 72), abs=0.1)


@pytest.mark.parametrize(
    ("keyword", "name", "resource"),
    [
        *[("iptc", "IPTC profile", True), ("iptc", "iptc", True), ("8bim", "8bim", True), ("iptc", "iptc", False)],
        ("xmp", "xmp", False),
    ],
)
def test_iptc_and_xmp_of_a_png_are_read_whoever_wrote_them(keyword, name, resource):
    """ExifTool 12.57 names IPTC by two words, and puts it into a resource of Photoshop; "xmp" is of ImageMagick."""
    content = jpeg.photoshop_with(IPTC).removeprefix(jpeg.PHOTOSHOP_HEAD) if resource else IPTC
    rows = "\n".join(content[start : start + 36].hex() for start in range(0, len(content), 36))
    text, file = PngInfo(), io.BytesIO()
    text.add_text(f"Raw profile type {keyword}", f"\n{name}\n{len(content):8}\n{rows}\n")
    Image.fromarray(scene(1, 40, 60)).save(file, "PNG", pnginfo=text)
    photo = read_photo(io.BytesIO(file.getvalue()))
    assert (photo.xmp if keyword == "xmp" else photo.iptc) == IPTC


def test_iptc_behind_so_much_of_photoshops_that_it_is_in_another_segment_is_read():
    """As ExifTool, Photoshop and others split it."""
    content = b"8BIM\x04\x0c\0\0" + struct.pack(">I", 70000) + bytes(70000)
    content += jpeg.photoshop_with(IPTC).removeprefix(jpeg.PHOTOSHOP_HEAD)
    parts = [jpeg.PHOTOSHOP_HEAD + content[start : start + 65000] for start in (0, 65000)]
    segments = b"".join(struct.pack(">BBH", 0xFF, 0xED, len(part) + 2) + part for part in parts)
    file = io.BytesIO()
    Image.fromarray(scene(1, 40, 60)).save(file, "JPEG")
    assert read_photo(io.BytesIO(file.getvalue()[:2] + segments + file.getvalue()[2:])).iptc == IPTC


def test_a_tiff_keeps_exif_xmp_and_iptc_of_a_tiff(tmp_path):
    exif = camera_exif(1)
    saved(tmp_path / "first.jpg", exif=exif)
    write_photo(tmp_path / "in.tif", read_photo(tmp_path / "first.jpg"))
    write_photo(tmp_path / "out.tif", read_photo(tmp_path / "in.tif"))
    said = exiftool(tmp_path / "out.tif")
    assert (said["IFD0:Copyright"], said["ExifIFD:ExifImageWidth"], said["InteropIFD:InteropIndex"]) == (
        "(c) Jürgen",
        40,
        "R98",
    )
    resource = jpeg.photoshop_with(IPTC).removeprefix(jpeg.PHOTOSHOP_HEAD)
    for cut in (len(IPTC), 5):  # as by ImageMagick, which writes a quarter of it, and all in a resource of Photoshop
        tags = [(33723, "B", cut, IPTC[:cut], True), (700, "B", 8, b"<x:xmp/>", True)]
        tags += [(34377, "B", len(resource), resource, True)] * (cut < len(IPTC))
        tifffile.imwrite(tmp_path / "iptc.tif", scene(1, 40, 60), photometric="rgb", metadata=None, extratags=tags)
        photo = read_photo(tmp_path / "iptc.tif")
        assert (photo.iptc, photo.xmp) == (IPTC, b"<x:xmp/>")


def test_a_jpeg_without_its_last_bytes_is_read_with_a_word_and_one_cut_short_is_not(tmp_path):
    file = io.BytesIO()
    Image.fromarray(scene(1, 400, 600)).save(file, "JPEG", quality=90)
    whole, data = read_photo(io.BytesIO(file.getvalue())), file.getvalue()
    photo = read_photo(io.BytesIO(data[:-2]))
    np.testing.assert_array_equal(photo.pixels, whole.pixels)
    assert photo.notes == ("its last bytes are missing",)
    photo = read_photo(io.BytesIO(data[:-40]))
    assert (photo.pixels != whole.pixels).any(2).mean() < 0.01
    assert "of the picture" in photo.notes[0]
    filled = read_photo(io.BytesIO(data[:-40] + bytes(400)))  # as of an index that was there before the bytes
    np.testing.assert_array_equal(filled.pixels, photo.pixels)
    assert filled.notes == photo.notes
    for tail in (b"", bytes(1000), b"\xff" * 1000):
        with pytest.raises(Exception, match="cut short"):
            read_photo(io.BytesIO(data[: len(data) * 9 // 10] + tail))
