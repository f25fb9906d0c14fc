"""lowlight average: the mean of the weights of models that went on from the same ones.

What was learnt in addition is kept in part, and so is what was known before (Wortsman et al., Robust fine-tuning of
zero-shot models, CVPR 2022; Model soups, ICML 2022).
"""

import logging
from collections import Counter
from pathlib import Path

import numpy as np

from lowlight.errors import UserError
from lowlight.settings import AverageSettings
from lowlight.system import versions
from lowlight.training import checkpoint
from lowlight.training.objectives import part_of
from lowlight.zoo import cards, registry

LOG = logging.getLogger(__name__)

OF_OTHER_WEIGHTS = ("metrics", "exports", "validation")
"""Fields of a card that do not hold for a mean."""


def average(settings: AverageSettings) -> Path:
    """Write the mean of the weights of several models, and a card that tells which they are.

    Parameters
    ----------
    settings : AverageSettings

    Returns
    -------
    Path
        The folder, which can be measured, published and started from like a run's.

    Raises
    ------
    UserError
        If there is no such model, they are not of the same graph, they have no such part, the folder holds a model
        already or a run, or it cannot be written.
    """
    folder = settings.output
    networks, known = zip(*(registry.load_network(model) for model in settings.models), strict=True)
    for model, card in zip(settings.models, known, strict=True):
        cards.refuse_without_training(card, model)
    name = known[0]["name"]
    _set_mean(networks, settings)
    with checkpoint.claimed(folder):
        if (folder / checkpoint.STATE).exists():  # which would go on as if there were no mean
            raise UserError(f"A run goes on in that folder. Received: --output {folder}. Name another.")
        if not settings.overwrite and any(folder.glob("*.json")):
            raise UserError(f"There is a model already. Received: --output {folder}. Name another, or --overwrite it.")
        checkpoint.refuse_another(folder, name)
        weights = folder / f"{name}{registry.WEIGHTS_SUFFIX}"
        registry.save_weights(networks[0], weights)
        registry.write_card(folder / f"{name}.json", _card(known, settings.part, weights))
    LOG.info("the mean of %s, with its card, is in %s; it is not measured", ", ".join(settings.models), folder)
    return folder


def _set_mean(networks, settings):
    """Give the first network the mean of all; the part that is averaged must be the same in each."""
    with_parts = all(isinstance(network.output, dict) for network in networks)
    if settings.part and not with_parts:
        raise UserError(
            f"Models below 11 have no parts. Received: --part {settings.part} for {' '.join(settings.models)}. Leave "
            "--part out."
        )
    parts = [part_of(network, settings.part) for network in networks]
    for name, part in zip(settings.models[1:], parts[1:], strict=True):
        if _graph(part) != _graph(parts[0]):
            raise UserError(
                f"Only models of the same graph have a mean. Received: {settings.models[0]} and {name}, which differ "
                f"in {settings.part or 'it'}. Name models of one graph"
                f"{', or --part exposure, which models of all widths share' if with_parts else ''}."
            )
    parts[0].set_weights([np.mean(same, axis=0) for same in zip(*(part.get_weights() for part in parts), strict=True)])


def _graph(model) -> list:
    return [(type(layer).__name__, [tuple(v.shape) for v in layer.weights]) for layer in model.layers]


def _card(known, part, weights) -> dict:
    """The first one's, without what was measured; with the trainings and the photos of all."""
    first, *others = known
    card = {key: value for key, value in first.items() if key not in OF_OTHER_WEIGHTS}
    stages = list(cards.stages_of(first))
    for other in others:
        stages += [stage for stage in cards.stages_of(other) if stage not in stages]
    counts = Counter((one["name"], one["weights"]["sha256"]) for one in known)
    of = [{"name": name, "sha256": sha256, "times": times} for (name, sha256), times in counts.items()]
    mean = {"part": part or "whole", "steps": 0, "minutes": 0.0, "mean_of": of}
    if any({"validation", "has_seen_validation"} & one.keys() for one in known):
        card["has_seen_validation"] = True
    return card | {
        "data": first["data"] | {kind: _all_sets(known, kind) for kind in ("also", "clean")},
        "training": first["training"] | {"val_psnr": None},
        "stages": [*stages, mean],
        "weights": registry.facts_of(weights),
        "versions": versions(),
    }


def _all_sets(known, kind) -> list:
    return list({one["name"]: one for card in known for one in card["data"].get(kind) or []}.values())
