"""lowlight.enhance and lowlight.load_model: what goes in comes out, brighter."""

import ast
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lowlight
from lowlight.errors import UserError
from lowlight.io.photo import read_rgb
from tests.conftest import ROOT, scene
from tests.test_zoo import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(folder)
    return str(folder)


@pytest.fixture
def dark():
    return scene(0, 30, 50) // 8


def test_importing_lowlight_is_cheap():
    code = "import lowlight, sys; print(sorted({'numpy', 'PIL', 'argparse', 'keras', 'tensorflow'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert result.stdout == "[]\n", result.stderr
    assert callable(lowlight.enhance)
    with pytest.raises(AttributeError, match="enhanced"):
        lowlight.enhanced  # noqa: B018


def test_a_prompt_offers_what_is_imported_later():
    code = "import lowlight, rlcompleter; print(rlcompleter.Completer(globals()).attr_matches('lowlight.'))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert {f"lowlight.{name}(" for name in ("Model", "enhance", "load_model")} <= set(ast.literal_eval(result.stdout))


@pytest.mark.slow
def test_a_type_checker_finds_what_is_here_and_nothing_else():
    code = "import lowlight\nlowlight.enhance\nlowlight.enhanced"
    command = [sys.executable, "-m", "mypy", "--config-file=", "--ignore-missing-imports", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert 'has no attribute "enhanced"' in result.stdout
    assert "Found 1 error" in result.stdout


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_an_array_keeps_its_shape_and_type(model, dark, dtype, channels):
    array = dark[..., 0] if channels is None else np.dstack([dark, dark[..., 0] + 100])[..., :channels]
    if dtype is np.uint16:
        array = array.astype(dtype) * 257
    elif dtype is not np.uint8:
        array = (array / 255).astype(dtype)
    before = array.copy()
    result = lowlight.enhance(array, model)
    assert result.shape == array.shape
    assert result.dtype == dtype
    assert result[..., :3].mean() > 3 * array[..., :3].mean()
    if channels == 4:
        np.testing.assert_array_equal(result[..., 3], array[..., 3])
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">f8"])
@pytest.mark.parametrize("channels", [3, 4])
def test_an_array_of_the_other_byte_order_comes_out_in_it(model, dark, dtype, channels):
    array = np.dstack([dark, dark[..., 0] + 100])[..., :channels] / np.float32(255)
    array = (array * 65535).astype(np.uint16) if dtype == ">u2" else array
    result = lowlight.enhance(array.astype(dtype), model)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, lowlight.enhance(array, model))


def test_an_array_an_image_and_a_file_of_one_photo_come_out_the_same(model, dark, tmp_path):
    Image.fromarray(dark).save(tmp_path / "night.png")
    from_array = lowlight.enhance(dark, model)
    from_image = lowlight.enhance(Image.fromarray(dark), model)
    from_path = lowlight.enhance(tmp_path / "night.png", model)
    np.testing.assert_array_equal(from_array, np.asarray(from_image))
    np.testing.assert_array_equal(from_array, read_rgb(from_path))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        *((mode, mode) for mode in ("RGB", "L", "RGBA", "LA", "I;16")),
        *((mode, "RGB") for mode in ("P", "HSV", "RGBX")),
        ("La", "LA"),
    ],
)
def test_an_image_keeps_its_mode(model, dark, mode, expected):
    image = Image.fromarray(dark).convert({"I;16": "L", "La": "LA"}.get(mode, mode))
    if mode == "La":
        image = image.convert("La")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    result = lowlight.enhance(image, model)
    assert (result.mode, result.size) == (expected, image.size)
    before = image.convert({"HSV": "RGB", "RGBX": "RGB", "La": "LA"}.get(mode, mode))
    assert np.asarray(result.convert("F")).mean() > 2 * np.asarray(before.convert("F")).mean()


@pytest.mark.parametrize("fault", ["empty", "closed", "cut short"])
def test_an_image_without_pixels_is_refused(model, dark, tmp_path, fault):
    path = tmp_path / "night.bmp"
    Image.fromarray(dark).save(path)
    if fault == "cut short":
        path.write_bytes(path.read_bytes()[:-2000])
    with Image.new("RGB", (0, 5)) if fault == "empty" else Image.open(path) as image:
        if fault == "closed":
            image.close()
        with pytest.raises(UserError, match="no pixels that can be read. Received: RGB, "):
            lowlight.enhance(image, model)


def test_an_image_that_lies_on_its_side_is_set_upright_and_keeps_what_it_says(model, dark):
    image = Image.fromarray(dark)
    image.getexif()[0x0112] = 6
    image.getexif()[0x0110] = "Box"
    result = lowlight.enhance(image, model)
    assert result.size == image.size[::-1]
    exif = Image.Exif()
    exif.load(result.info["exif"])
    assert exif.get(0x0110) == "Box"
    assert exif.get(0x0112, 1) == 1


def test_a_masked_array_is_enhanced_as_an_array(model, dark):
    masked = np.ma.masked_array(dark, dark > np.median(dark))
    np.testing.assert_array_equal(lowlight.enhance(masked, model), lowlight.enhance(dark, model))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_an_image_is_saved_with_its_exif_as_one_that_pillow_opened_is(form, model, dark):
    image, file = Image.fromarray(dark), io.BytesIO()
    image.getexif()[0x0110] = "Box"
    result = lowlight.enhance(image, model)
    result.save(file, form, exif=result.info["exif"])
    with Image.open(file) as saved:
        assert saved.getexif()[0x0110] == "Box"


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
@pytest.mark.parametrize("turned", [1, 3, 6])
def test_an_image_of_a_tiff_comes_out_as_pillow_shows_it(model, dark, turned, compression):
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x0110] = turned, "Box"
    Image.fromarray(dark).save(file, "TIFF", exif=exif, compression=compression)
    with Image.open(file) as image, Image.open(file) as shown:
        result = lowlight.enhance(image, model, strength=0)
        np.testing.assert_array_equal(np.asarray(result), np.asarray(shown))
        assert result.getexif()[0x0110] == "Box"


def test_a_path_gives_a_path_of_its_kind_and_nothing_is_written_over(model, dark, tmp_path):
    night = tmp_path / "night.png"
    Image.fromarray(dark).save(night)
    content = night.read_bytes()
    assert lowlight.enhance(str(night), model) == str(tmp_path / "night_enhanced.png")
    assert lowlight.enhance(night, model, output=tmp_path / "new" / "x.jpg") == tmp_path / "new" / "x.jpg"
    assert lowlight.enhance(night, model, output=tmp_path / "new") == tmp_path / "new" / "night.png"
    with pytest.raises(UserError, match="overwrite=True"):
        lowlight.enhance(night, model)
    assert lowlight.enhance(night, model, overwrite=True, compare=True) == tmp_path / "night_enhanced.png"
    assert read_rgb(tmp_path / "night_enhanced.png").shape == (30, 100, 3)
    with pytest.raises(UserError, match="over a photo"):
        lowlight.enhance(night, model, output=tmp_path)
    assert night.read_bytes() == content


def test_what_is_left_out_of_a_file_is_a_warning(model, dark, tmp_path, caplog):
    night = tmp_path / "night.tif"
    Image.fromarray(dark).save(night, save_all=True, append_images=[Image.fromarray(dark)])
    lowlight.enhance(night, model)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{night}: it holds 2 pictures, of which the largest is read" in caplog.text


@pytest.mark.parametrize(
    "option", [{"output": "bright.jpg"}, {"overwrite": True}, {"quality": 50}, {"strip_metadata": True}]
)
@pytest.mark.parametrize("kind", [np.asarray, Image.fromarray])
def test_what_is_of_files_alone_is_refused_for_an_array_or_an_image(option, kind, model, dark):
    with pytest.raises(UserError, match=f"no file is read or written. Received: {next(iter(option))}="):
        lowlight.enhance(kind(dark), model, **option)


@pytest.mark.parametrize("option", [{"quality": 0}, {"quality": 500}, {"max_megapixels": -1}])
def test_options_out_of_their_range_are_refused_as_the_program_refuses_them(option, model, dark, tmp_path):
    Image.fromarray(dark).save(tmp_path / "night.jpg")
    with pytest.raises(UserError, match=f"must be .* Received: {next(iter(option.values()))}."):
        lowlight.enhance(tmp_path / "night.jpg", model, **option)
    assert [path.name for path in tmp_path.iterdir()] == ["night.jpg"]


def test_a_pattern_of_several_photos_is_refused(model, dark, tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(dark).save(tmp_path / name)
    with pytest.raises(UserError, match="names 2 photos. Received: .*png. Name one of them."):
        lowlight.enhance(tmp_path / "*.png", model)


def test_floats_that_rounding_has_put_outside_are_taken(model, dark):
    outside = np.float32(dark / 255 + 1e-6 * np.sign(dark / 255 - 0.01))
    outside[0, 0] = (-1e-6, 1 + 1e-6, 0)
    np.testing.assert_array_equal(lowlight.enhance(outside, model), lowlight.enhance(outside.clip(0, 1), model))
    with pytest.raises(UserError, match="Scale or clip them"):
        lowlight.enhance(outside + 0.1, model)


@pytest.mark.parametrize("name", ["tile", "device", "best", "models_url", "engine"])
@pytest.mark.parametrize("value", [[], b"x"])
def test_what_a_model_is_loaded_with_must_be_of_its_kind(name, value, model, dark):
    with pytest.raises(UserError, match=rf"^{name} must be .*\. Received: (\[\]|b'x')\.$"):
        lowlight.load_model(model, **{name: value})
    if name != "models_url":
        with pytest.raises(UserError, match=f"^{name} must be"):
            lowlight.enhance(dark, model, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("output", 1),
        ("overwrite", "no"),
        ("quality", "90"),
        ("quality", 90.5),
        ("quality", True),
        ("strip_metadata", "no"),
        ("max_megapixels", "9"),
        ("max_megapixels", True),
        ("compare", "no"),
    ],
)
def test_what_a_photo_is_enhanced_with_must_be_of_its_kind(name, value, model, dark, tmp_path):
    Image.fromarray(dark).save(tmp_path / "night.jpg")
    with pytest.raises(UserError, match=f"^{name} must be .*. Received: {value!r}.$"):
        lowlight.enhance(tmp_path / "night.jpg", model, **{name: value})
    assert [path.name for path in tmp_path.iterdir()] == ["night.jpg"]


def test_numbers_of_numpy_are_numbers(model, dark, tmp_path):
    loaded = lowlight.load_model(model, tile=np.int64(128), best=np.bool_(False))
    assert loaded.enhance(dark, compare=np.bool_(True)).shape == (30, 100, 3)
    np.testing.assert_array_equal(loaded.enhance(dark, strength=np.float16(0.5)), loaded.enhance(dark, strength=0.5))
    Image.fromarray(dark).save(tmp_path / "night.png")
    for suffix in (".jpg", ".webp", ".avif", ".heic"):
        written = loaded.enhance(tmp_path / "night.png", output=tmp_path / f"numpy{suffix}", quality=np.int64(40))
        same = loaded.enhance(tmp_path / "night.png", output=tmp_path / f"python{suffix}", quality=40)
        assert written.read_bytes() == same.read_bytes()


@pytest.mark.parametrize(
    "wrong", [{"exposure": "1"}, {"exposure": None}, {"exposure": True}, {"strength": 10**400}, {"white_balance": None}]
)
def test_controls_of_another_kind_are_refused(wrong, model, dark):
    with pytest.raises(UserError, match=f"{next(iter(wrong))} must be"):
        lowlight.enhance(dark, model, **wrong)


def test_an_older_python_is_told_in_a_line():
    code = "import sys; sys.version_info = (3, 10, 4); import lowlight"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr.startswith("lowlight needs Python 3.11")


def test_controls_are_keywords(model, dark):
    np.testing.assert_array_equal(lowlight.enhance(dark, model, strength=0), dark)
    with pytest.raises(UserError, match="does not have that control"):
        lowlight.enhance(dark, model, exposure=1)
    with pytest.raises(UserError, match="Received: 2"):
        lowlight.enhance(dark, model, strength=2)
    with pytest.raises(TypeError, match="brightness"):
        lowlight.enhance(dark, model, brightness=2)


def test_the_model_stays_loaded(model, dark, monkeypatch):
    lowlight.enhance(dark, model)
    monkeypatch.setattr("lowlight.zoo.registry.build", lambda *model: pytest.fail("loaded anew"))
    lowlight.enhance(dark, model)


def test_a_loaded_model_gives_what_the_short_form_gives(model, dark):
    loaded = lowlight.load_model(model, device="cpu")
    assert isinstance(loaded, lowlight.Model)
    assert (loaded.name, loaded.controls) == ("model_10", {"strength"})
    assert repr(loaded) == "<lowlight.Model model_10>"
    np.testing.assert_array_equal(loaded.enhance(dark, strength=0.5), lowlight.enhance(dark, model, strength=0.5))


@pytest.mark.parametrize(
    "options", [{"model": 0}, {"model": ""}, {"device": "tpu", "engine": "onnx"}, {"device": ""}], ids=str
)
def test_a_model_and_a_device_that_are_not_there_are_refused(options, tmp_path, monkeypatch):
    save_model(tmp_path)
    monkeypatch.chdir(tmp_path)  # where a model is, but without a name
    with pytest.raises(UserError, match="There is no such"):
        lowlight.load_model(**options)


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.int64),
        np.full((4, 4, 3), 200.0),
        np.full((4, 4, 3), np.nan),
        b"bytes",
        ROOT / "tests",
        Path("nowhere.jpg"),
    ],
    ids=str,
)
def test_what_is_no_photo_is_refused(model, photo):
    with pytest.raises(UserError, match="Received: "):
        lowlight.enhance(photo, model)
