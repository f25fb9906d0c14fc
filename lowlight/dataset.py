"""The pairs that a command works on, from its settings."""

from collections.abc import Callable

from lowlight import synthetic
from lowlight.errors import UserError
from lowlight.pairs import Split, load_split
from lowlight.settings import TrainingSettings

LICENCES = {
    "LOL": "LOL v1 (Wei et al., BMVC 2018): its authors state no licence; research data, none of it is shipped",
    "synthetic": "made by lowlight.synthetic from photos that scikit-image ships (public domain or CC0)",
    "own": "not known: a folder of the user's own",
}


def load(settings: TrainingSettings, announce: Callable[[str], None] = print) -> tuple[Split, dict[str, str]]:
    """Find, check and split the pairs that the settings name.

    Returns
    -------
    split : Split
    about : dict
        Name of the data and its licence note, for a model's card.

    Raises
    ------
    UserError
        If no data are named, or `PairError` from `lowlight.pairs.load_split`.
    """
    if settings.data == "synthetic":
        folder = synthetic.write_pairs(settings.run_folder.parent / "synthetic", settings.clean)
        kind = "own" if settings.clean else "synthetic"
        return load_split(folder, announce=announce), {"name": "synthetic", "licence": LICENCES[kind]}
    if settings.clean:
        raise UserError("Clean photos are darkened only with --data synthetic. Received: --clean without it.")
    if not settings.data and not (settings.low and settings.high):
        raise UserError("No pairs were named. Give --data DIR, --data synthetic, or --low DIR and --high DIR.")
    split = load_split(settings.data, settings.low, settings.high, settings.skip_bad_pairs, announce)
    kind = "LOL" if any(pair.low.parent.parent.name == "our485" for pair in split.train) else "own"
    return split, {"name": "LOL v1" if kind == "LOL" else "own pairs", "licence": LICENCES[kind]}
