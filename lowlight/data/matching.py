"""Which photo of one side belongs to which of the other, told from their names."""

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lowlight.errors import UserError

LOW_WORDS = frozenset(("low", "lowlight", "dark", "input", "inputs", "short", "lq", "under", "underexposed", "noisy"))
HIGH_WORDS = frozenset(
    ("high", "normal", "normallight", "gt", "groundtruth", "target", "targets", "label", "labels", "long", "reference")
    + ("ref", "bright", "clean", "hq", "expert", "experta", "expertb", "expertc", "expertd", "experte")
)
"""What the two sides are called in the names of folders and of photos."""

_EXPOSURE = re.compile(r"(_\d\d)?_\d+(\.\d+)?s$")
"""SID's 00001_00_0.04s: scene, number in the burst, and seconds."""


class PairError(UserError):
    """Pairs are missing or broken."""


@dataclass(frozen=True)
class Pair:
    """A dark photo and the well-lit one of the same scene."""

    name: str
    """Of the dark photo's file, without its ending; unique within a part of a split."""
    low: Path
    high: Path
    scene: str | None = field(default=None, kw_only=True)
    """What the folders say it shows; None where they say nothing."""


class Problem(NamedTuple):
    """What is wrong with a pair."""

    name: str
    reason: str
    shown: str
    """The name with the numbers that tell."""


@dataclass
class Pool:
    """Pairs of one part of a dataset, by name, and what has no partner."""

    pairs: dict[str, Pair] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, other: "Pool") -> None:
        """Take in another pool's pairs and problems."""
        self.pairs |= other.pairs
        self.problems += other.problems


def words(name: str) -> list[str]:
    """The words in a name: Low_light2 is low and light."""
    return re.findall("[a-z]+", name.lower())


def match(
    lows: Sequence[Path], highs: Sequence[Path], missing: Sequence[Path], prefix: str = "", scene: str | None = None
) -> tuple[Pool, str]:
    """Find each low's high: by the same name, or by what stays of names after what a side has in common.

    Parameters
    ----------
    lows, highs : sequences of Path
        Photos of the two sides.
    missing : two paths
        What to call the two sides, low's first, when a partner is missing there.
    prefix : str
        Begins the pairs' names.
    scene : str, optional
        What all of them show. If there is only one high, all lows are its partners, whatever their names.

    Returns
    -------
    pool : Pool
    how : str
        What was taken off the names, or that several lows share a high; empty if names are the same.
    """
    stems = [[path.stem for path in side] for side in (lows, highs)]
    if scene is not None and len(highs) == 1:
        keys, how = [[""] * len(lows), [""]], "several lows to one high" if len(lows) > 1 else ""
    else:
        keys, how = max(_ways(*stems), key=lambda way: _matched(*way[0]))
    return _paired(lows, highs, keys, missing, prefix, scene), how


def side_word(name: str) -> str | None:
    """The side that the name of a folder or a column tells by any of its words: "low", "high", or None."""
    found = {*words(name), "".join(words(name))}
    low, high = found & LOW_WORDS, found & HIGH_WORDS
    if bool(low) == bool(high):
        return None
    return "low" if low else "high"


def side_of(name: str) -> str | None:
    """The side that a photo's name tells by its last or first word: "low", "high", or None."""
    found = words(name)
    for word in (found[-1:] + found[:1]) if found else ():
        if word in LOW_WORDS | HIGH_WORDS:
            return "low" if word in LOW_WORDS else "high"
    return None


def _paired(lows, highs, keys, missing, prefix, scene) -> Pool:
    pool = Pool()
    sides = [_by_key(paths, side) for paths, side in zip((lows, highs), keys, strict=True)]
    for key in sides[0] | sides[1]:
        dark, bright = (side.get(key, []) for side in sides)
        twice = len(bright) > 1 or len({path.stem for path in dark}) < len(dark)
        if not dark or not bright:
            for path in dark or bright:
                reason = f"without a partner in {missing[1 if dark else 0]}"
                pool.problems.append(Problem(prefix + path.stem, reason, path.name))
        elif twice:
            shown = " + ".join(f"{path.parent.name}/{path.name}" for path in dark + bright)
            name = prefix + dark[0].stem
            pool.problems.append(Problem(name, "with several files of one name on one side", shown))
        else:
            for path in dark:
                pool.pairs[prefix + path.stem] = Pair(prefix + path.stem, path, bright[0], scene=scene)
    return pool


def _by_key(paths, keys) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path, key in zip(paths, keys, strict=True):
        found.setdefault(key, []).append(path)
    return found


def _ways(lows: list[str], highs: list[str]) -> Iterator[tuple[list[list[str]], str]]:
    """Keys for both sides, by which partners are equal, and what was done to the names; the plainest first."""
    yield [lows, highs], ""
    bare = [_without_words(LOW_WORDS, lows), _without_words(HIGH_WORDS, highs)]
    yield bare, "names alike but for the word of their side"
    for keys in itertools.product(_cuts(lows), _cuts(highs)):
        if all(len(set(side)) == len(side) for side in keys):
            yield [*keys], "names alike but for what all of a side have in common"
    timeless = [[_EXPOSURE.sub("", stem) for stem in side] for side in (lows, highs)]
    yield timeless, "several lows to one high, by names without exposure times"
    yield [_owners(*bare), bare[1]], "several lows to one high, whose name theirs begin with"


def _matched(lows, highs) -> int:
    """How many photos have partners."""
    both = set(lows) & set(highs)
    return sum(key in both for key in lows) + sum(key in both for key in highs)


def _without_words(side: frozenset[str], stems) -> list[str]:
    """Names in lower case, without the side's word at the beginning or the end; it may be all of a name."""
    known = "|".join(sorted(side, key=len, reverse=True))
    edge = re.compile(rf"^({known})(?![a-z])[\W_]*|[\W_]*(?<![a-z])({known})$")
    return [edge.sub("", stem.lower()) for stem in stems]


def _cuts(stems) -> list[list[str]]:
    """Names without what all of them end with, begin with, or both."""
    return [stems, _endings(stems), _beginnings(stems), _beginnings(_endings(stems))]


def _beginnings(stems) -> list[str]:
    """Names without what all begin with: up to its last sign between words, or without digits at its end."""
    common = os.path.commonprefix(stems) if len(stems) > 1 else ""
    cut = re.match(r".*[\W_]", common)
    return [stem[len(cut.group() if cut else common.rstrip("0123456789")) :] for stem in stems]


def _endings(stems) -> list[str]:
    return [stem[::-1] for stem in _beginnings([stem[::-1] for stem in stems])]


def _owners(lows, highs) -> list[str]:
    """For each low the longest high that its name begins with, before a sign between words; else its own name."""
    known = set(highs)
    twice = {name for name, times in Counter(highs).items() if times > 1}

    def owner(stem):
        cuts = [len(stem), *(found.start() for found in reversed(list(re.finditer(r"[\W_]", stem))))]
        return next((stem[:cut] for cut in cuts if stem[:cut] in known - twice), stem)

    return [owner(stem) for stem in lows]
