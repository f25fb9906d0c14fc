"""The page: photos are dropped, compared before and after, adjusted on a reduced copy, and saved at full size."""

from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from lowlight.cli.presets import PHOTOS
from lowlight.controls import RANGES, Controls
from lowlight.io.photo import IMAGE_SUFFIXES
from lowlight.web.answers import FIELDS, Answers, label_for
from lowlight.web.studio import Studio

SLIDERS = {
    "exposure": ("Exposure", "stops"),
    "shadows": ("Shadows", "stops"),
    "highlights": ("Highlights", "stops"),
    "denoise": ("Denoise", None),
    "strength": ("Strength", None),
}
"""Labels of the controls that are numbers, and their units."""

KEPT_SECONDS = 3600
"""Within which uploads and results are deleted."""

LOOK_SECONDS = 600
"""Between two looks for what is to be deleted."""

ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "work", "api_visibility": "private"}

CSS = """
.gradio-container {overflow: clip !important; width: 100%; max-width: 1480px !important; margin: 0 auto !important}
#title p {font-size: 1.05rem; margin: 0}
#title strong {font-weight: 650; letter-spacing: -.01em}
#drop, #drop > button, #drop > button > .wrap {min-height: min(62vh, 620px)}
#before-after img {object-fit: contain; max-height: min(720px, 72vh) !important}
#strip, #strip .grid-wrap {height: auto !important; min-height: 0; overflow-y: auto !important}
#strip .grid-container {grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)) !important}
#strip .thumbnail-lg {aspect-ratio: 4 / 3}
#strip .caption-label {font-size: .75rem}
#facts, .result span {opacity: .75; font-size: .92rem}
#facts:has(.prose:empty), #problems:has(.prose:empty) {display: none}
#facts .html-container, #problems .html-container, #report .html-container {padding: 0 !important}
#report {min-height: 5rem}
#download {background: var(--body-text-color); color: var(--body-background-fill)}
.problem {border-left: 3px solid #d97706; padding: .5rem .8rem; margin: .2rem 0; border-radius: 4px;
  background: color-mix(in srgb, #d97706 10%, transparent); color: var(--body-text-color)}
.result {padding: .4rem 0; border-bottom: 1px solid var(--border-color-primary); overflow-wrap: anywhere}
.result span {display: block; font-variant-numeric: tabular-nums}
@media (max-width: 700px) {
  .gradio-container > .main > .wrap {padding: 0}
  .column:has(> #before-after) {display: contents}
  #before-after {position: sticky !important; top: 0; z-index: 50}
  #before-after img {max-height: 45vh !important}
}
"""


HEAD = """
<script>
// Gradio's page counts on its stream of answers while that is being closed, and never hears of what it asks at that
// moment. So it learns that a question was taken once the stream tells of it, or has ended and a new one is opened.
{
  const ask = window.fetch;
  const soon = () => new Promise((resume) => setTimeout(resume, 20));
  let stream = {open: false, heard: ""};

  async function listen(body) {
    const mine = (stream = {open: true, heard: ""});
    const parts = body.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (let part = await parts.read(); !part.done; part = await parts.read()) mine.heard += part.value;
    } catch {}  // whoever reads it has closed it, or it was cut off
    await soon();
    mine.open = false;
  }

  window.fetch = async (what, how) => {
    const answer = await ask(what, how);
    const address = String(what.url ?? what);
    if (address.includes("/queue/data") && answer.ok) {
      const [theirs, ours] = answer.body.tee();
      listen(ours);
      return new Response(theirs, answer);
    }
    if (address.includes("/queue/join") && answer.ok) {
      const {event_id} = await answer.clone().json();
      while (stream.open && !stream.heard.includes(event_id)) await soon();
    }
    return answer;
  };
}
</script>
"""


def theme() -> gr.themes.Base:
    """Plain, in the fonts that the system has: none is fetched."""
    return gr.themes.Default(
        primary_hue="amber",
        neutral_hue="stone",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
        radius_size="sm",
    )


class Parts(NamedTuple):
    """What the page is made of."""

    problems: gr.HTML
    drop: gr.File
    compared: gr.ImageSlider
    strip: gr.Gallery
    facts: gr.HTML
    other: gr.Button
    model: gr.Dropdown
    preset: gr.Dropdown
    controls: list[Any]
    """By the order of `FIELDS`."""
    reset: gr.Button
    enhance: gr.Button
    download: gr.DownloadButton
    report: gr.HTML


def page(studio: Studio) -> gr.Blocks:
    """Build the page.

    Parameters
    ----------
    studio : Studio

    Returns
    -------
    gradio.Blocks
        To be mounted with `theme` and `CSS`.
    """
    with gr.Blocks(
        title="lowlight",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(LOOK_SECONDS, KEPT_SECONDS - LOOK_SECONDS),
    ) as blocks:
        _wire(_laid_out(studio), Answers(studio, Path(blocks.GRADIO_CACHE)), blocks)
    return blocks


def _laid_out(studio) -> Parts:
    """The photo at the left, or above on a phone; what is done with it beside or below."""
    gr.Markdown(_title(studio), elem_id="title")
    problems = gr.HTML(elem_id="problems", padding=False)
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320):
            kinds = sorted(IMAGE_SUFFIXES)
            drop = gr.File(label="Photos", file_count="multiple", file_types=kinds, elem_id="drop")
            compared = gr.ImageSlider(
                label="Before and after",
                show_label=False,
                interactive=False,
                visible=False,
                buttons=["fullscreen"],
                max_height=720,
                elem_id="before-after",
            )
            strip = gr.Gallery(
                show_label=False, visible=False, allow_preview=False, fit_columns=False, buttons=[], elem_id="strip"
            )
            with gr.Row(equal_height=False):
                facts = gr.HTML(elem_id="facts", padding=False)
                other = gr.Button("Other photos", size="sm", scale=0, min_width=130, visible=False, elem_id="other")
        with gr.Column(scale=1, min_width=300):
            model = gr.Dropdown(_choices(studio), value=studio.default, label="Model", elem_id="model")
            presets = [("None", ""), *((name.capitalize(), name) for name in PHOTOS)]
            preset = gr.Dropdown(presets, value="", label="Preset", elem_id="preset")
            controls = [_slider(name, *SLIDERS[name]) if name in SLIDERS else _switch(name) for name in FIELDS]
            reset = gr.Button("Reset", size="sm", variant="secondary")
            enhance = gr.Button(label_for(1), variant="primary", interactive=False, elem_id="enhance")
            download = gr.DownloadButton("Download", visible=False, elem_id="download")
            report = gr.HTML(elem_id="report", padding=False)
    return Parts(
        problems, drop, compared, strip, facts, other, model, preset, controls, reset, enhance, download, report
    )  # fmt: skip


def _wire(parts, answers, blocks):
    """Which event asks for which answer, and where that is shown."""
    photos = gr.State([], time_to_live=KEPT_SECONDS)
    chosen = gr.State(0)
    wanted = [parts.model, *parts.controls]
    seen = [parts.compared, parts.facts, parts.problems]
    opened = [photos, chosen, parts.drop, parts.strip, parts.enhance, parts.other, parts.download, parts.report, *seen]
    look = {
        "fn": answers.look,
        "inputs": [photos, chosen, *wanted],
        "outputs": seen,
        "trigger_mode": "always_last",
        "show_progress": "hidden",
        **ONE_AT_A_TIME,
    }
    parts.drop.upload(answers.take, [parts.drop, *wanted], opened, show_progress_on=[parts.drop], **ONE_AT_A_TIME)
    parts.other.click(answers.restart, None, opened, api_visibility="private")
    parts.strip.select(answers.choose, None, chosen, api_visibility="private").then(**look)
    # Changes: Gradio's lists tell of input if they are left as they were, its sliders do not if they are put back.
    adjusted = [control.change for control in parts.controls]
    gr.on(adjusted, **look)
    parts.preset.change(answers.preset, parts.preset, parts.controls, api_visibility="private")
    parts.reset.click(answers.reset, None, [parts.preset, *parts.controls], api_visibility="private")
    outdated = [parts.model.change, *adjusted]
    gone = [parts.download, parts.report]
    gr.on(outdated, answers.outdate, None, gone, show_progress="hidden", api_visibility="private")
    allowed = [parts.preset, *parts.controls, parts.problems]
    blocks.load(answers.allow, parts.model, allowed, show_progress="hidden", **ONE_AT_A_TIME)
    parts.model.change(answers.allow, parts.model, allowed, show_progress="minimal", **ONE_AT_A_TIME).then(**look)
    done = [parts.download, parts.report, parts.problems]
    parts.enhance.click(answers.enhance, [photos, *wanted], done, show_progress_on=[parts.report], **ONE_AT_A_TIME)


def _title(studio) -> str:
    where = "Photos stay on this machine." if studio.settings.is_private else "Photos are deleted within an hour."
    return f"**lowlight** turns dark, noisy photos into bright, clean ones. {where}"


def _choices(studio) -> list[tuple[str, str]]:
    def label(name):
        number = name.removeprefix("model_")
        plain = f"Model {int(number)}" if number.isdecimal() else name
        return f"{plain} (default)" if name == studio.default else plain

    return [(label(name), name) for name in reversed(studio.models)]


def _slider(name, label, unit) -> gr.Slider:
    least, most = RANGES[name]
    return gr.Slider(
        least, most, getattr(Controls, name), step=0.05, label=f"{label} ({unit})" if unit else label, elem_id=name
    )


def _switch(name) -> gr.Checkbox:
    return gr.Checkbox(getattr(Controls, name), label="Correct the colour of the light", elem_id=name)


def _while_typed(self, payload) -> float:
    """What a slider's field makes of it when it is left: nothing is 0, and what is out of range the nearest in it."""
    return min(max(payload or 0, self.minimum), self.maximum)


# Gradio shows errors while a number is typed. (A class of our own would have it write a file beside this one.)
gr.Slider.preprocess = _while_typed  # type: ignore[method-assign]
