"""The pairs that a command works on: what --data, --also and --clean, and the other settings, mean."""

import logging
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from lowlight.data import synthetic, validate
from lowlight.data.pairs import Pair, PairError, Split, load_split
from lowlight.data.samplers import CleanSource, PairSource, Share
from lowlight.data.tables import beside, read_cells
from lowlight.errors import UserError
from lowlight.settings import TrainingSettings
from lowlight.system import counted
from lowlight.zoo.recipes import RECIPES, Recipe

LOG = logging.getLogger(__name__)

LICENCES = {
    "sice": "SICE part 1 (Cai et al., TIP 2018): for academic research only",
    "brackets": "exposure sequences of the HDR Photographic Survey (Fairchild 2007) and others, as collected for Liu "
    "(2022, arXiv 2210.09604); no licence stated: research use",
    "bsds": "BSDS500 (Arbelaez et al., PAMI 2011): for non-commercial research",
    "imagenette": "Imagenette (Howard 2019), ten classes of ImageNet: for non-commercial research",
    "imagenet": "ImageNet (Russakovsky et al., IJCV 2015), one photo of each class: for non-commercial research",
    "flowers": "Oxford 102 flowers (Nilsback & Zisserman, ICVGIP 2008); no licence stated: research use",
    "intel": "Intel's scene classification challenge (Analytics Vidhya 2018); no licence stated: research use",
}
"""Of sets beside the pairs, by what is in the names of their folders; the first that fits counts."""

LOL_V1 = "LOL v1"
"""What a card calls its pairs."""

OWN_PAIRS = "own pairs"
"""What it calls those of a folder of the user's own, before a comma and the folder's name; once all were called so."""

LOL = "LOL v1 (Wei et al., BMVC 2018): its authors state no licence; research data, none of it is shipped"
SYNTHETIC = "made by lowlight.data.synthetic from photos that scikit-image ships (public domain or CC0)"
OWN = "not known: a folder of the user's own"

HELD_OUT_EVERY = 6
"""Of a folder with a pairs.csv, one target in six and all its partners are for measuring, never for training."""

HELD_OUT_SHARE = 0.2
"""Of a folder of clean photos, the first by name are for measuring, never for training."""

RELIT = 0.85
"""Share of the exposure samples of --also that are shown as another exposure: several pairs show one scene."""


def load_pairs(settings: TrainingSettings) -> tuple[Split, dict[str, str]]:
    """Find, check and split the pairs that the settings name.

    Returns
    -------
    split : Split
    about : dict
        Name of the data and its licence note, for a model's card.

    Raises
    ------
    UserError
        If no data are named, an option would change nothing, a folder of --also or --clean is not as it must be, or
        `PairError` from `lowlight.data.pairs.load_split`.
    """
    _refuse_what_would_be_ignored(settings)
    for folder in settings.also:  # before the pairs are checked, which takes a while
        listed_pairs(folder)
    for folder in settings.clean:
        clean_photos(folder)
    if settings.data == "synthetic":
        folder = settings.run_folder.parent / _name_of_synthetic(settings.clean)
        if folder == settings.run_folder:
            raise UserError(f"The pairs are made in that folder. Received: --output {folder}. Give another one.")
        synthetic.write_pairs(folder, next(iter(settings.clean), None))
        if settings.clean:
            return load_split(folder), {"name": made_of(settings.clean[0]), "licence": OWN}
        return load_split(folder), {"name": "synthetic", "licence": SYNTHETIC}
    if not settings.data and not (settings.low and settings.high):
        raise UserError("No pairs were named. Give --data DIR, --data synthetic, or --low DIR and --high DIR.")
    folder = settings.run_folder
    if settings.data and Path(settings.data).resolve() == folder.resolve():
        raise UserError(
            f"The run's split.json would be written over that of the pairs. Received: --output {folder}, which is "
            "--data, too. Give another one."
        )
    split = load_split(settings.data, settings.low, settings.high, settings.skip_bad_pairs)
    if is_lol(split.train):
        return split, {"name": LOL_V1, "licence": LOL}
    return split, {"name": own_pairs(settings.data or Path(settings.low or "").parent), "licence": OWN}


def own_pairs(folder: str | Path) -> str:
    """What a card calls the pairs of a folder of the user's own."""
    return f"{OWN_PAIRS}, {name_of(folder)}"


def made_of(clean: Path) -> str:
    """What a card calls the pairs that were made of a folder of clean photos."""
    return f"synthetic, {name_of(clean)}"


def is_lol(pairs: Sequence[Pair]) -> bool:
    """Whether there are training pairs of LOL among these."""
    return any(name_of(pair.low.parent.parent) == "our485" for pair in pairs)


def name_of(folder: str | Path) -> str:
    """What a folder is called, also where it is named as . or .. by the command."""
    folder = Path(folder)
    return (folder.resolve() if folder.name in ("", "..") else folder).name


def sources(settings: TrainingSettings, plan: Recipe, split: Split) -> tuple[list[Share], list[Share], dict]:
    """Where the training samples of a global-local model come from.

    Parameters
    ----------
    settings : TrainingSettings
    plan : Recipe
        The shares of what is not given go to the others.
    split : Split

    Returns
    -------
    crops, exposures : lists of (float, Source)
        What crops, and what whole photos for the prediction of exposure, are drawn from, each with its share.
    about : dict
        What a card says of the sets beside the split's.

    Raises
    ------
    UserError
        If a folder is not as it must be.
    """
    shares = list(zip(plan.mixture, plan.exposure_mixture, strict=True))
    lifted = plan.settings.get("black_point", False)
    found: list = [(shares[0], PairSource(split.train, lifted=lifted))]
    about: dict = {}
    clean = [[pair.high for pair in split.train]]
    measured = {photo.resolve() for pair in (*split.val, *split.test) for photo in (pair.low, pair.high)}
    if _made_of_clean(settings):
        measured |= {photo.resolve() for photo in synthetic.sources_of(split.val, settings.clean[0])}
    for folder in settings.also:
        more, held = listed_pairs(folder)
        more = [pair for pair in more if not {pair.low.resolve(), pair.high.resolve()} & measured]
        more = _whole(folder, _large_enough(folder, more, lambda pair: (pair.low, pair.high), plan.crop))
        share = [part / len(settings.also) for part in shares[1]]
        found.append((share, PairSource(more, RELIT, lifted)))
        clean.append(sorted({pair.high for pair in more}))
        about.setdefault("also", []).append(_described(folder, len(more), len(held)))
    for folder in settings.clean:
        photos, held_photos = clean_photos(folder)
        photos = [photo for photo in photos if photo.resolve() not in measured]
        photos = _large_enough(folder, photos, lambda photo: (photo,), plan.crop)
        clean.append(photos)
        about.setdefault("clean", []).append(_described(folder, len(photos), len(held_photos)))
    if any(shares[2]):
        found.append((shares[2], CleanSource(clean, references=1 + len(settings.also))))
    crops, exposures = ([(share[i], source) for share, source in found] for i in range(2))
    return crops, exposures, about


def listed_pairs(folder: Path) -> tuple[list[Pair], list[Pair]]:
    """Pairs that a folder's pairs.csv lists, by the rules of `lowlight.data.tables`: to train on, and held out.

    Raises
    ------
    PairError
        If the file is missing, is not such a table, or names photos that are not there.
    """
    path = folder / "pairs.csv"
    if not path.is_file():
        raise PairError(f"There is no list of pairs. Received: {path}. Name its folder.")
    rows = [(beside(path, low), beside(path, high)) for low, high in read_cells(path)[0]]
    absent = sorted({photo.name for row in rows for photo in row if not photo.is_file()})
    if absent or not rows:
        many = counted(len(absent), "photo that is", "photos that are")
        shown = f"{many} not there: {', '.join(absent[:3])}" if absent else "no pair"
        raise PairError(f"The list does not fit its folder. Received: {path} naming {shown}. Mend it.")
    targets = sorted({high for _, high in rows})
    held = set(targets[::HELD_OUT_EVERY])
    pairs = [Pair(f"{low.stem}-{high.stem}", low, high) for low, high in rows]
    return [pair for pair in pairs if pair.high not in held], [pair for pair in pairs if pair.high in held]


def clean_photos(folder: Path) -> tuple[list[Path], list[Path]]:
    """Photos of a folder: those to train on, and those held out.

    Raises
    ------
    UserError
        As `lowlight.data.synthetic.photos_in`.
    """
    photos = synthetic.photos_in(folder)
    held = max(1, round(len(photos) * HELD_OUT_SHARE))
    return photos[held:], photos[:held]


def _large_enough(folder, items, photos_of, crop):
    """Those whose headers can be read and whose photos hold a crop; what is left out is said."""
    return _said(folder, items, *validate.large_enough(items, photos_of, crop))


def _whole(folder, pairs):
    """Those that are pairs, as those of --data must be; what is left out is said."""
    looks, problems = validate.check(pairs)
    return _said(folder, pairs, list(looks), problems)


def _said(folder, items, kept, problems):
    what = "; ".join(validate.listing(problems, most=3)) or "nothing that is not held out"
    if not kept:
        raise UserError(
            f"No photo can be learnt from. Received: {folder} with {what}. Give others, or a smaller --crop."
        )
    if problems:
        left_out = counted(len(problems), f"of {len(items)} is left out", f"of {len(items)} are left out")
        LOG.warning("%s: %s: %s", name_of(folder), left_out, what)
    return kept


def _name_of_synthetic(clean) -> str:
    """Of the folder of pairs: one for each source, as another run may learn from pairs that were made of another."""
    if not clean:
        return "synthetic"
    source = clean[0].resolve()
    return f"synthetic_{source.name}_{zlib.crc32(os.fsencode(source)):08x}"


def _made_of_clean(settings) -> bool:
    """Whether the pairs were made of the first folder of --clean."""
    return settings.data == "synthetic" and bool(settings.clean)


def _refuse_what_would_be_ignored(settings):
    synthetic = settings.data == "synthetic"
    if synthetic and (settings.low or settings.high):
        raise UserError("Synthetic pairs are made, not read. Received: --low or --high. Leave both out.")
    if settings.model in RECIPES and RECIPES[settings.model].mixture[1:] != (0, 0):
        return
    given = ["--also"] if settings.also else []
    if len(settings.clean) > synthetic:
        given.append("--clean more than once" if synthetic else "--clean without --data synthetic")
    if given:
        raise UserError(
            f"Model {settings.model} learns from the pairs of --data alone. Received: {' and '.join(given)}. Leave it "
            "out."
        )


def _described(folder, used, held) -> dict:
    name = name_of(folder)
    licence = next((text for word, text in LICENCES.items() if word in name.lower()), OWN)
    return {"name": name, "licence": licence, "train": used, "held_out": held}
