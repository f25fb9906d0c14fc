"""Which photos show the same scene, by descriptors of small grey thumbnails, and which scenes to keep for validation.

Thumbnails are compared by the ranks of their pixels (Spearman's correlation), which no change of exposure or contrast
alters: a dark photo and its well-lit partner have nearly the same ranks.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import rankdata

SIDE = 64
"""Pixels along a thumbnail's side."""

TWIN = 0.9
"""Two well-lit photos that correlate above this show one scene. On LOL's 499 this finds exactly the 235 groups of
its scene_groups.json (at 32 pixels a side: 4 pairs of photos too many)."""

BLOCK = 512
"""Rows of the correlation matrix that are in memory at once."""


def descriptor(photo: np.ndarray) -> np.ndarray:
    """Ranks of a photo's grey thumbnail, of zero mean and unit length, so that a dot product is a correlation.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
        Grey values are averaged as floats: the few levels that a dark 8-bit photo has would tie most ranks.

    Returns
    -------
    (SIDE * SIDE,) float32 array
        All zero where the photo is of one colour; it then correlates with nothing.
    """
    red, green, blue = np.moveaxis(photo, 2, 0)
    grey = Image.fromarray((red.astype(np.uint16) + green + blue).astype(np.float32))  # 7 times as fast as a sum
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX)).ravel()
    ranks = rankdata(small)  # equal pixels share the mean of their ranks
    centred = ranks - ranks.mean()
    return (centred / max(np.linalg.norm(centred), 1e-9)).astype(np.float32)


def group(descriptors: np.ndarray) -> np.ndarray:
    """Put photos into scenes: twins, twins of twins and so on belong together.

    Parameters
    ----------
    descriptors : (N, D) float32 array
        Rows by `descriptor`, of well-lit photos.

    Returns
    -------
    (N,) int array
        The scene of each: the index of its first photo.
    """
    twins = [np.zeros((0, 2), int)]
    for first, likeness in _correlations(descriptors, descriptors):
        twins.append(np.argwhere(likeness > TWIN) + (first, 0))
    return _joined(np.concatenate(twins), len(descriptors))


def join(labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Put photos into one scene that are of one name, and with them all that their scenes hold.

    Parameters
    ----------
    labels : (N,) int array
        By `group`.
    names : N strings
        What is known to be one scene has one name.

    Returns
    -------
    (N,) int array
    """
    _, first, owner = np.unique(names, return_index=True, return_inverse=True)
    own = np.arange(len(labels))
    return _joined(
        np.concatenate([np.stack([own, labels], axis=1), np.stack([own, first[owner]], axis=1)]), len(labels)
    )


def partners(lows: np.ndarray, highs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How well each low fits its own high, and how well the best of the others.

    Parameters
    ----------
    lows, highs : (N, D) float32 arrays
        Rows by `descriptor`, partners in the same row.

    Returns
    -------
    own, other : (N,) float32 arrays
        Correlations; `other` is -1 where there is only one pair.
    """
    own = np.einsum("nd,nd->n", lows, highs)
    other = np.full(len(lows), -1, np.float32)
    for first, likeness in _correlations(lows, highs):
        rows = np.arange(len(likeness))
        likeness[rows, first + rows] = -1
        other[first : first + len(likeness)] = likeness.max(axis=1)
    return own, other


def choose_validation(labels: np.ndarray, share: float, avoid: np.ndarray) -> np.ndarray:
    """Choose whole scenes for validation, evenly over the list, the same ones each time.

    Parameters
    ----------
    labels : (N,) int array
        The scene of each photo; N is 1 or more.
    share : float
        What part of the photos to choose, about.
    avoid : int array
        Scenes to leave alone (the test split's) unless there are no others.

    Returns
    -------
    (N,) bool array
        True for the chosen; always at least one scene, and never the only one.
    """
    scenes, sizes = np.unique(labels, return_counts=True)
    allowed = ~np.isin(scenes, avoid)
    if not allowed.any():
        allowed[:] = True
    wanted = share * sizes.sum() / sizes[allowed].sum()
    seen = 0
    chosen: list[int] = []
    for scene, size in zip(scenes[allowed], sizes[allowed], strict=True):
        seen += size
        if np.isin(labels, chosen).sum() + size / 2 <= wanted * seen:
            chosen.append(scene)
    if not chosen and len(scenes) > 1:
        chosen = [scenes[allowed][np.argmin(sizes[allowed])]]
    return np.isin(labels, chosen)


def _joined(edges: np.ndarray, count: int) -> np.ndarray:
    """For each of `count` photos, the first of those that (E, 2) edges connect it to."""
    links = coo_array((np.ones(len(edges), np.int8), tuple(edges.T)), shape=(count, count))
    _, components = connected_components(links, directed=False)
    _, first = np.unique(components, return_index=True)
    return first[components]


def _correlations(rows: np.ndarray, columns: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for first in range(0, len(rows), BLOCK):
        yield first, rows[first : first + BLOCK] @ columns.T
