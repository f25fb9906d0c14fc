"""Which number is white in a TIFF: whole numbers of odd depths, and floats, which may mean anything."""

import numpy as np

MAX_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE = 281, 341

BULK = 99.9
"""The percentile of the numbers that counts: what is above are hot pixels."""

LOOKED_AT = 2**22
"""Numbers that are looked at, about."""

TWELVE_BITS = 4095


def white_of(page, values: np.ndarray, notes: list[str]) -> float:
    """The number that is white.

    Parameters
    ----------
    page : tifffile.TiffPage
    values : array
        As decoded.
    notes : list of str
        Is added to where it had to be guessed.
    """
    said = _said(page)
    if values.dtype.kind == "f":
        return said or _of_floats(values, notes)
    full = 2 ** (page.bitspersample - (values.dtype.kind == "i")) - 1
    if values.dtype == np.uint8 and page.bitspersample < 8:
        return full
    highest = int(values.max(initial=0))
    if values.dtype.kind == "i" and values.min(initial=0) < 0:
        notes.append("its numbers below 0 are taken for black")
    if said and said < full and np.log2(said + 1).is_integer() and highest <= said:
        return max(255, said)
    if page.bitspersample == 32 and highest <= 65535:
        return 65535
    if page.bitspersample == 16 and 255 < highest <= TWELVE_BITS:
        notes.append(f"no level of its 16 bits is above {highest}: were there 12 in them, MaxSampleValue should say so")
    return full


def _said(page) -> float | None:
    for tag in (S_MAX_SAMPLE_VALUE, MAX_SAMPLE_VALUE):
        value = page.tags[tag].value if tag in page.tags else None
        values = value if isinstance(value, tuple) else (value,)
        if value is not None and all(isinstance(v, int | float) and np.isfinite(v) and v > 0 for v in values):
            return float(max(values))
    return None


def _of_floats(values, notes) -> float:
    numbers = values.ravel()[:: max(1, values.size // LOOKED_AT)].astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    bulk = float(np.percentile(numbers, BULK, method="higher")) if numbers.size else 0
    if bulk <= 1:
        return 1
    whole = bool((numbers == np.rint(numbers)).all())
    if whole or bulk > 16:
        if 383 < bulk <= TWELVE_BITS:
            notes.append(f"its numbers go up to {bulk:.4g}, and 65535 is taken for white")
        return 255 if bulk <= 383 else 65535 if bulk <= 98303 else bulk
    notes.append(f"its numbers go up to {bulk:.4g}, which is taken for white")
    return bulk
