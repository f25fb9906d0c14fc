"""Rows of methods against sets of pairs, as held_out.csv and breakdown.csv hold them; what is known stays."""

from collections.abc import Callable, Mapping, Sequence

from lowlight.data.pairs import Pair
from lowlight.metrics.evaluate import BASELINES, UNTOUCHED, Method

HASH = 12
"""How many digits of a hash tell weights apart."""


def score_sets(
    models: Mapping[str, str],
    load: Callable[[str], Method],
    sets: Mapping[str, Sequence[Pair]],
    known: Sequence[dict] = (),
    *,
    score: Callable[[Method, Sequence[Pair], str], dict],
    baselines: Callable[[str, dict], Mapping[str, Method | None]] = lambda name, untouched: {},
) -> list[dict]:
    """Score the untouched photos, baselines and models on each set.

    Parameters
    ----------
    models : mapping of str to str
        SHA-256 of the models' weights, by name.
    load : callable
        Gives the enhancer of a model by its name; it is called again for each set.
    sets : mapping of str to sequence of Pair
        By name.
    known : sequence of dict
        Rows of an earlier call. Those of the same weights, and of other models, are taken over, if a set's untouched
        photos score as then.
    score : callable
        Gives the scores of a method on pairs, for which it has a description.
    baselines : callable
        Gives more methods for a set, from its name and the row of its untouched photos. Of one that is None, which
        cannot be run here, the earlier row is kept, if there is one.

    Returns
    -------
    list of dict
        For each set and method: `set`, `photos` (how many), `method`, `weights` (the start of their SHA-256), and the
        scores.
    """
    rows: list[dict] = []
    for name, pairs in sets.items():
        rows.append(_row(name, pairs, UNTOUCHED, "", BASELINES[UNTOUCHED], score))
        earlier = _usable(known, rows[-1])
        for method, run in baselines(name, rows[-1]).items():
            if row := earlier.get((method, "")) or (run and _row(name, pairs, method, "", run, score)):
                rows.append(row)
        others = {method: weights for method, weights in earlier if weights}
        for method, sha256 in (others | dict(models)).items():
            weights = sha256[:HASH]
            rows.append(earlier.get((method, weights)) or _row(name, pairs, method, weights, load(method), score))
    return rows


def current_rows(known: Sequence[dict], models: Mapping[str, str], *, others: bool) -> list[dict]:
    """Of earlier rows those that still hold: of no other weights of these models, and with or without other models.

    Parameters
    ----------
    known : sequence of dict
        Rows of `score_sets`.
    models : mapping of str to str
        SHA-256 of the models' weights, by name.
    others : bool
        Whether rows of models that are not among these stay.
    """

    def holds(row):
        if row["method"] in models:
            return row["weights"] == models[row["method"]][:HASH]
        return others or not row["weights"]

    return [row for row in known if holds(row)]


def merged_rows(known: Sequence[dict], scored: Sequence[dict]) -> list[dict]:
    """Earlier rows, but of sets that were scored anew the new ones, in the same place; new sets come last.

    Parameters
    ----------
    known, scored : sequences of dict
        Rows of `score_sets`. Of a set that was scored, the earlier rows of other weights stay if its untouched photos
        score as then: another process may have measured meanwhile.
    """
    merged = _by_set(known)
    for name, rows in _by_set(scored).items():
        done = {(row["method"], row["weights"]) for row in rows}
        others = _usable(known, rows[0])
        merged[name] = rows + [row for key, row in others.items() if row["weights"] and key not in done]
    return [row for of_set in merged.values() for row in of_set]


def _by_set(rows) -> dict[str, list[dict]]:
    sets: dict[str, list[dict]] = {}
    for row in rows:
        sets.setdefault(row["set"], []).append(row)
    return sets


def _row(name, pairs, method, weights, run, score) -> dict:
    facts = {"set": name, "photos": len(pairs), "method": method, "weights": weights}
    return facts | score(run, pairs, f"{method}, {name}")


def _usable(known, untouched) -> dict[tuple[str, str], dict]:
    """Earlier rows of a set by method and weights; none if its photos were others."""
    rows = {(row["method"], row["weights"]): row for row in known if row["set"] == untouched["set"]}
    return rows if rows.get((UNTOUCHED, "")) == untouched else {}
