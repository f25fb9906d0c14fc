"""What the page shows after each event, and in which words."""

import hashlib
import html
import io
import tempfile
import zipfile
from pathlib import Path

import gradio as gr
from PIL import Image

from lowlight.cli.presets import PHOTOS
from lowlight.controls import Controls
from lowlight.errors import UserError
from lowlight.web.studio import Opened, Result, Studio

FIELDS = ("exposure", "shadows", "highlights", "denoise", "strength", "white_balance")
"""The controls in the order in which the page has them."""

PROGRESS = gr.Progress()

THUMBNAIL_SIDE = 240


class Answers:
    """What the page shows after each event, by the order of the outputs in `lowlight.web.page`.

    Parameters
    ----------
    studio : Studio
    folder : Path
        For pictures that are shown; Gradio deletes what it has shown from there.
    """

    def __init__(self, studio: Studio, folder: Path):
        self.studio, self.folder = studio, folder

    def take(self, files, *wanted, progress=PROGRESS):
        """Photos were dropped: show the first; the others can be chosen."""
        photos, wrong = self._opened(files or [], progress)
        if not photos:
            return [photos, 0, None, *[gr.skip()] * 7, _alerts(wrong)]
        compared, facts, problem = self.look(photos, 0, *wanted)
        return [
            photos,
            0,
            gr.File(None, visible=False),
            gr.Gallery([(self._thumbnail(photo), photo.name) for photo in photos], visible=len(photos) > 1),
            gr.Button(label_for(len(photos)), interactive=True),
            gr.Button(visible=True),
            gr.DownloadButton(visible=False),
            "",
            compared,
            facts,
            _alerts(wrong) + problem,
        ]

    def restart(self):
        """Make room for other photos."""
        return [
            [],
            0,
            gr.File(None, visible=True),
            gr.Gallery(None, visible=False),
            gr.Button(label_for(1), interactive=False),
            gr.Button(visible=False),
            gr.DownloadButton(visible=False),
            "",
            gr.ImageSlider(None, visible=False),
            "",
            "",
        ]

    def look(self, photos, index, model, *values):
        """Preview the chosen photo."""
        if not photos:
            return [gr.skip(), gr.skip(), ""]
        photo = photos[index]
        try:
            after = self.studio.preview(photo, model, _controls(values))
        except UserError as error:
            return [gr.skip(), gr.skip(), _alerts([str(error)])]
        before_after = self._shown(Image.fromarray(photo.reduced)), self._shown(Image.fromarray(after))
        return [gr.ImageSlider(before_after, visible=True), _facts(photo), ""]

    def choose(self, event: gr.SelectData):
        """A photo of several was chosen."""
        return event.index

    def preset(self, name):
        """The controls for a kind of photo were chosen."""
        return [PHOTOS.get(name, {}).get(field, getattr(Controls, field)) for field in FIELDS]

    def reset(self):
        """All controls as they were, without a preset."""
        return ["", *self.preset("")]

    def outdate(self):
        """What can be downloaded is not what is shown any more."""
        return [gr.DownloadButton(visible=False), ""]

    def allow(self, model):
        """A model was chosen, which may not have all controls."""
        try:
            known = self.studio.controls_of(model)
        except UserError as error:
            return [*[gr.skip()] * (1 + len(FIELDS)), _alerts([str(error)])]
        preset = gr.update(interactive=True) if known.issuperset(FIELDS) else gr.update(interactive=False, value="")
        off = {field: {"value": getattr(Controls, field)} for field in FIELDS if field not in known}
        controls = (gr.update(interactive=field in known, **off.get(field, {})) for field in FIELDS)
        return [preset, *controls, gr.skip()]

    def enhance(self, photos, model, *values, progress=PROGRESS):
        """Enhance all photos at full size; tell of each, then offer the file, or all in one."""
        rows, wrong, results = [], [], []
        yield [gr.DownloadButton(visible=False), "", gr.skip()]
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for number, photo in enumerate(photos):
                progress((number, len(photos)), desc=photo.name, unit="photos")
                try:
                    results.append(self.studio.enhance(photo.path, photo.name, folder, model, _controls(values)))
                    rows.append(_row(results[-1]))
                except (UserError, MemoryError) as error:
                    wrong.append(_problem(error, photo.name))
                yield [gr.skip(), "".join(rows), _alerts(wrong) if wrong else gr.skip()]
            if results:
                file = results[0].path if len(results) == 1 else _zipped(results, folder)
                label = f"Download {'' if len(results) == 1 else 'all '}({_bytes(file.stat().st_size)})"
                yield [gr.DownloadButton(label, value=file, visible=True), gr.skip(), gr.skip()]

    def _thumbnail(self, photo) -> str:
        small = Image.fromarray(photo.reduced)
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        return self._shown(small)

    def _shown(self, image) -> str:
        """The path of a JPEG, which takes hundredths of a second to make, where Gradio's WebP takes half a second."""
        file = io.BytesIO()
        image.save(file, "JPEG", quality=92, subsampling=0)
        path = self.folder / f"{hashlib.sha256(file.getvalue()).hexdigest()}.jpg"
        path.write_bytes(file.getvalue())
        return str(path)

    def _opened(self, files, progress) -> tuple[list[Opened], list[str]]:
        """The photos among the files, and what is wrong with the others."""
        most = self.studio.settings.max_photos
        photos, wrong = [], []
        if len(files) > most:
            wrong.append(f"Only the first {most} of {len(files)} photos were taken; take the others afterwards.")
        for number, file in enumerate(map(Path, files[:most])):
            progress((number, min(len(files), most)), desc=file.name, unit="photos")
            try:
                photos.append(self.studio.open(file, file.name))
            except (UserError, MemoryError) as error:
                wrong.append(_problem(error, file.name))
        return photos, wrong


def label_for(photos: int) -> str:
    """Of the button that enhances so many photos."""
    return "Enhance at full size" if photos == 1 else f"Enhance {photos} photos at full size"


def _controls(values) -> Controls:
    return Controls(**dict(zip(FIELDS, values, strict=True)))


def _zipped(results, folder) -> Path:
    """All results in one file, as they are: photos hardly shrink."""
    path = folder / "lowlight.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for result in results:
            archive.write(result.path, result.path.name)
    return path


def _facts(photo: Opened) -> str:
    size = f"{html.escape(photo.name)}: {photo.width} × {photo.height}, {_bytes(photo.size)}."
    if not photo.is_reduced:
        return size
    height, width = photo.reduced.shape[:2]
    return f"{size} Shown is a copy of {width} × {height}, where noise is finer; what you download has full size."


def _row(result: Result) -> str:
    facts = f"{result.width} × {result.height}, {_bytes(result.size)}, {result.seconds:.1f} s"
    lines = "".join(f"<span>{html.escape(line)}</span>" for line in (facts, *result.notes))
    return f'<div class="result">{html.escape(result.path.name)}{lines}</div>'


def _problem(error, name) -> str:
    return f"{name} does not fit into this machine's memory." if isinstance(error, MemoryError) else str(error)


def _alerts(messages) -> str:
    return "".join(f'<div class="problem" role="alert">{html.escape(message)}</div>' for message in messages)


def _bytes(number) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e5 else f"{number / 1e3:.1f} kB"
