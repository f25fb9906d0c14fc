"""Make what is put on the Hugging Face Hub: a folder for each model, with its card, and a Space that is the page.

    python -m lowlight.web.hub hub/ --owner me
    hf upload me/lowlight-model-12 hub/lowlight-model-12          # each folder is a repository of its own
    python main.py --model 12 --models-url hf://me/lowlight-model-12@REVISION

The first command is run in a clone of the project and sends nothing anywhere.
"""

import dataclasses
import re
import shutil
import sys
import tempfile
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from lowlight.benchmark.tables import LABELS, SPLIT_LABELS, shown
from lowlight.cli.parse import parse
from lowlight.errors import UserError
from lowlight.metrics.evaluate import NEAR_TWINS, with_current_names
from lowlight.settings import ROOT, Argument
from lowlight.system import run
from lowlight.zoo import cards, registry
from lowlight.zoo.recipes import RECIPES

TASK = "image-to-image"

LICENCE: dict[str, Any] = {"license": "other", "license_name": "mit-code-research-data"}
"""The code is MIT; the data that weights learnt from are for research, which the card's text says of each."""

CARD = """
# {title}

Turns dark, noisy photos into bright, clean ones. {idea} {why}

{parameters:,} parameters; Keras weights ({file}), whose graph is in {name}.json.

## Use

With the project [lowlight](https://github.com/{owner}/lowlight):

```
python main.py night.jpg -o bright.jpg --model {number} --models-url hf://{owner}/{repository}@REVISION
```

REVISION is the 40 digits of a commit of this repository. A file is used only if its SHA-256 is that which the project
knows.

## Scores

{scores}

## Training

{training}

Learnt from:

{data}

## Limits

How bright a scene was meant to be is predicted; in dark parts, fine detail is made smooth where it cannot be told from
noise. The result is an estimate, and no evidence of what was there.
"""


@dataclasses.dataclass(frozen=True)
class HubSettings:
    """Settings of this script."""

    folder: Annotated[Path, Argument(positional=True)]
    """Where the folders are made; must be empty, or not be there."""
    owner: Annotated[str, Argument(metavar="NAME")] = "OWNER"
    """Whose repositories they will be."""


def publish(settings: HubSettings) -> list[Path]:
    """Make the folders of all models that are here, and that of the Space.

    Raises
    ------
    UserError
        If the folder is not empty, or a model's files are missing or wrong.
    ModuleNotFoundError
        If the extra `web` is not installed.
    """
    import huggingface_hub  # noqa: F401  # before anything is made

    if settings.folder.exists() and (not settings.folder.is_dir() or any(settings.folder.iterdir())):
        raise UserError(f"The folder must be empty. Received: {settings.folder}. Name another one.")
    settings.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.folder) as part:
        names = [entry["name"] for entry in registry.available() if registry.is_here(entry["name"])]
        made = [_model(Path(part), name, settings.owner) for name in names]
        made.append(_space(Path(part), settings.owner))
        return [folder.rename(settings.folder / folder.name) for folder in made]


def _model(place, name, owner) -> Path:
    card, files = _files(name)
    folder = place / _repository(name)
    folder.mkdir()
    for path in (*files, ROOT / "LICENSE"):
        shutil.copy2(path, folder)
    (folder / "README.md").write_text(model_card(card, owner), encoding="utf-8")
    return folder


def _files(name) -> tuple[dict, list[Path]]:
    """A model's card, and all files that the project knows of it."""
    card, weights = registry.files_of(name)
    onnx = registry.onnx_of(card, weights)
    return card, [registry.MODELS / f"{name}.json", weights, *([onnx] if onnx else [])]


def model_card(card: dict, owner: str) -> str:
    """A model's card as the Hub reads it: facts for machines, then text for people.

    Parameters
    ----------
    card : dict
        As `lowlight.zoo.registry.files_of` gives it.
    owner : str
        Whose repository it will be in.
    """
    from huggingface_hub import EvalResult, ModelCardData

    title = f"lowlight model {_number(card['name'])}"
    scores = {part: with_current_names(scores) for part, scores in (card.get("metrics") or {}).items()}
    sets = cards.sets_of(card)
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=_slug(card["data"]["name"]),
            dataset_name=f"{card['data']['name']}, {SPLIT_LABELS[part]}",
            dataset_split=SPLIT_LABELS[part],
            metric_type=key,
            metric_name=LABELS[key],
            metric_value=value,
        )
        for part, of_part in scores.items()
        for key, value in of_part.items()
    ]
    facts = ModelCardData(
        library_name="keras",
        pipeline_tag=TASK,
        datasets=[_slug(one["name"]) for one in sets],
        tags=["low-light", "denoising", "photography"],
        model_name=title,
        eval_results=results,
        **LICENCE,
    )
    return f"---\n{facts.to_yaml()}\n---\n{_text(card, title, scores, sets, owner)}"


def _text(card, title, scores, sets, owner) -> str:
    plan = RECIPES.get(card["recipe"].get("number"))
    return CARD.format(
        title=title,
        name=card["name"],
        number=_number(card["name"]),
        repository=_repository(card["name"]),
        owner=owner,
        idea=card.get("idea", ""),
        why=plan.why if plan else card["recipe"].get("why", ""),
        parameters=card["parameters"],
        file=card["weights"]["file"],
        scores=_scores(card["data"]["name"], scores) if scores else "It was not measured.",
        training=_training(card),
        data="\n".join(f"- {one.get('licence') or one['name'] + ', whose licence is not known'}" for one in sets),
    )


def _scores(data, scores) -> str:
    keys = [key for key in LABELS if any(key in of_part for of_part in scores.values())]
    head = ["", *(LABELS[key] for key in keys)], ["---"] + ["---:"] * len(keys)
    rows = [
        [f"{data}, {SPLIT_LABELS[part]}", *(shown(of_part, key) for key in keys)] for part, of_part in scores.items()
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (*head, *rows)]
    protocol = (
        "Whole photos at their own size, RGB, clipped and rounded to 8 bits; GT-mean: after the output was given the "
        f"truth's brightness. {NEAR_TWINS if data.startswith('LOL') else ''}"
    )
    return "\n".join([*lines, "", protocol.rstrip()])


def _training(card) -> str:
    stages = [stage for stage in cards.stages_of(card) if {"minutes", "steps"} <= stage.keys()]
    if not stages:
        return "How it was trained is not known."
    minutes, steps = (sum(stage[name] for stage in stages) for name in ("minutes", "steps"))
    return f"{minutes:.0f} minutes in all, {steps:,} steps, on {card['training'].get('machine', 'an unknown machine')}."


def _space(place, owner) -> Path:
    """The page, the package and the default model, as a repository that runs by itself."""
    from huggingface_hub import SpaceCardData

    folder = place / "lowlight-space"
    shutil.copytree(ROOT / "lowlight", folder / "lowlight", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "lowlight" / "web" / "space.py", folder / "app.py")
    shutil.copy2(ROOT / "LICENSE", folder)
    card, files = _files(registry.default())
    (folder / "models").mkdir()
    for path in files:
        shutil.copy2(path, folder / "models")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    engine = [] if any(path.suffix == ".onnx" for path in files) else ["tensorflow"]
    extras = [line for extra in (*engine, "web") for line in project["optional-dependencies"][extra]]
    wanted = [*project["dependencies"], *extras]
    (folder / "requirements.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
    facts: Any = SpaceCardData(
        title="lowlight",
        sdk="gradio",
        sdk_version=version("gradio"),
        python_version="3.12",
        app_file="app.py",
        models=[f"{owner}/{_repository(card['name'])}"],
        **LICENCE,
    )
    text = "# lowlight\n\nThe page of the project: `lowlight serve` is the same one on your own machine.\n"
    (folder / "README.md").write_text(f"---\n{facts.to_yaml()}\n---\n\n{text}", encoding="utf-8")
    return folder


def _number(name) -> str:
    number = name.removeprefix("model_")
    return str(int(number)) if number.isdecimal() else number


def _repository(name) -> str:
    return f"lowlight-model-{_number(name)}"


def _slug(name) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def main() -> int:
    settings = parse(HubSettings, __doc__, prog="python -m lowlight.web.hub", command=None)
    for folder in publish(settings):
        print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
