"""Is a pair a pair? What is looked at in each before anything is learnt from it."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lowlight.data import scenes
from lowlight.data.matching import Pair, Problem
from lowlight.io.photo import ImageError, image_size, read_rgb
from lowlight.system import tracked

SAME_SCENE = 0.5
"""Rank correlation of a low with its high below which they are no pair. The lowest true one is 0.69 in LOL (499
pairs, median 0.99) and 0.89 in SICE part 1 (545); a low and the high of another LOL scene stay below 0.48 in 99 %."""

BETTER_PARTNER = 0.15
"""A low that fits another's high better than its own by more than this is mixed up. No true pair of LOL comes above
0.10. The two checks together find 99 % of the lows of a shuffled LOL; photos of one scene cannot be told apart."""

AS_BRIGHT = 0.15
"""By so much of the brighter one's mean, and two levels, sides of one brightness differ at most. Of 115 real pairs of
shots with and without noise none differs by more than 0.05."""

BRIGHTER = "with a low that is brighter than its high"
SAME = "with the same picture on both sides"


class Look(NamedTuple):
    """What is kept of a pair that was looked at."""

    size: tuple[int, int]
    """Width and height."""
    means: tuple[float, float]
    """Mean pixel value of low and of high, 0 to 255."""
    low: np.ndarray
    high: np.ndarray
    """By `lowlight.data.scenes.descriptor`."""


def check(pairs: Sequence[Pair], as_bright: bool = False) -> tuple[dict[Pair, Look], list[Problem]]:
    """Decode every photo, once, and compare the two sides of each pair, and each low with all highs.

    Parameters
    ----------
    pairs : sequence of Pair
    as_bright : bool
        Both sides are to be of one brightness, so that either may be the brighter one by a little.

    Returns
    -------
    looks : dict
        Of the pairs that are whole.
    problems : list
        One for each of the others.
    """
    looks, problems = {}, []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for pair, look in zip(
            tracked(pairs, "checking pairs"), threads.map(partial(_look, as_bright=as_bright), pairs), strict=True
        ):
            if isinstance(look, Problem):
                problems.append(look)
            else:
                looks[pair] = look
    for pair, problem in _mixed_up(looks):
        problems.append(problem)
        del looks[pair]
    return looks, problems


def large_enough(items: Sequence, photos_of: Callable[[Any], Sequence[Path]], side: int) -> tuple[list, list[Problem]]:
    """By their headers alone: items whose photos have `side` pixels or more each way, and what is wrong with the rest.

    Parameters
    ----------
    items : sequence
        Photos, pairs, or whatever has photos.
    photos_of : callable
        From an item to its photos.
    side : int
        Pixels.

    Returns
    -------
    kept, problems : lists
        The items, in their order, and a problem for each of the others.
    """
    kept, problems = [], []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = threads.map(lambda item: _too_small(photos_of(item), side), items)
        for item, problem in zip(items, found, strict=True):
            if problem:
                problems.append(problem)
            else:
                kept.append(item)
    return kept, problems


def listing(problems: Sequence[Problem], most: int | None = None) -> list[str]:
    """A line for each reason, with all names, or `most` of them."""
    by_reason: dict[str, list[str]] = {}
    for problem in problems:
        by_reason.setdefault(problem.reason, []).append(problem.shown)
    return [f"{len(shown)} {reason}: {few(shown, most or len(shown))}" for reason, shown in by_reason.items()]


def few(items: Sequence[str], most: int = 3) -> str:
    """The first items, and how many more there are."""
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest} more" if rest > 0 else "")


def _too_small(photos, side) -> Problem | None:
    for photo in photos:
        try:
            height, width = image_size(photo)
        except ImageError as error:
            return Problem(photo.name, "unreadable", str(error).rstrip("."))
        if min(height, width) < side:
            return Problem(photo.name, f"smaller than crops of {side} pixels", f"{photo.name} ({width}x{height})")
    return None


def _look(pair, as_bright) -> Look | Problem:
    try:
        low, high = read_rgb(pair.low), read_rgb(pair.high)
    except ImageError as error:
        return Problem(pair.name, "unreadable", str(error).rstrip("."))
    if low.shape != high.shape:
        sizes = " and ".join(f"{side.shape[1]}x{side.shape[0]}" for side in (low, high))
        return Problem(pair.name, "with sides of two sizes", f"{pair.name} ({sizes})")
    if np.array_equal(low, high):
        return Problem(pair.name, SAME, pair.name)
    means = float(low.mean()), float(high.mean())
    shown = f"{pair.name} (mean {means[0]:.0f} against {means[1]:.0f})"
    if as_bright and max(means) - min(means) > AS_BRIGHT * max(means) + 2:
        return Problem(pair.name, "with sides that are not equally bright", shown)
    if means[0] > means[1] and not as_bright:
        return Problem(pair.name, BRIGHTER, shown)
    return Look((low.shape[1], low.shape[0]), means, scenes.descriptor(low), scenes.descriptor(high))


def _mixed_up(looks) -> list[tuple[Pair, Problem]]:
    if not looks:
        return []
    lows, highs = (np.stack([getattr(look, side) for look in looks.values()]) for side in ("low", "high"))
    own, other = scenes.partners(lows, highs)
    found = []
    for pair, mine, best in zip(looks, own, other, strict=True):
        if mine < SAME_SCENE or best - mine > BETTER_PARTNER:
            shown = f"{pair.name} (rank correlation {mine:.2f}, with another's high {max(best, 0):.2f})"
            found.append((pair, Problem(pair.name, "whose sides do not show the same scene", shown)))
    return found
