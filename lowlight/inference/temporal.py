"""Temporal smoothing of what is decided for each frame of a clip, so that brightness does not flicker."""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

import numpy as np

from lowlight.imaging.exposure import BLACK, OVERVIEW, THUMBNAIL, between_bars, exposure_map, overview, thumbnail

SECONDS = 5.0
"""Standard deviation of the time around a frame by which is decided: a lasting change of the light is followed within
about twice that, and what a pan brings into view hardly shows from one frame to the next."""

REACH = 4.0
"""Standard deviations; what is further away counts for nothing."""

STEP = 1.0
"""Seconds between two overviews of a shot, at least: decisions do not change faster."""

CUT = 0.2
"""A change of half of the regions' brightness from one frame to the next, in log units, that is a cut to another shot.

A lamp that comes into view changes fewer of them. A cut between scenes of one brightness stays unnoticed; but then
their decisions are much alike, too.
"""

COARSE = 128
"""Pixels of the shorter side, about, that are enough to notice a cut."""


class Shot(NamedTuple):
    """What lies between two cuts."""

    start: float
    """In seconds, as `times`."""
    times: list[float]
    """When the overviews were taken."""
    overviews: list[np.ndarray]
    """Their logarithms, (64, 64, 5) float16: a long shot has thousands of them."""


class Smoothing:
    """The overviews of a clip, averaged around any of its frames, in log units and within one shot.

    Whatever `lowlight.inference.enhancer.Enhancer` decides from the average changes slowly, so that the brightness of
    the result changes as that of the clip does.
    """

    def __init__(self) -> None:
        self.shots: list[Shot] = []
        self.exposure_map: np.ndarray | None = None
        self.total = np.zeros((THUMBNAIL, THUMBNAIL, OVERVIEW))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Where the picture lies between bars, once all frames are taken in: it is one for the whole clip, as
        `lowlight.imaging.exposure.between_bars` gives it. In a dark frame alone, bars and picture look alike."""
        return between_bars(self.total / max(1, sum(len(shot.times) for shot in self.shots)))

    def add(self, pixels: np.ndarray, time: float) -> None:
        """Take the next frame in.

        Parameters
        ----------
        pixels : (H, W, 3) float32 array in [0, 1], or uint8 or uint16 array of levels
            As for `lowlight.imaging.exposure.overview`.
        time : float
            When it is shown, in seconds.
        """
        every = max(1, min(pixels.shape[:2]) // COARSE)
        now = exposure_map(thumbnail(pixels[::every, ::every]))
        if self.exposure_map is None or np.median(np.abs(now - self.exposure_map)) > CUT:
            self.shots.append(Shot(time, [], []))
        self.exposure_map = now
        times, overviews = self.shots[-1][1:]
        if not times or time - times[-1] >= STEP:
            times.append(time)
            seen = overview(pixels)
            self.total += seen
            overviews.append(np.log(seen + BLACK).astype(np.float16))

    def __call__(self, time: float) -> np.ndarray:
        """What to decide from for a frame, once all are taken in.

        Parameters
        ----------
        time : float
            When the frame is shown, in seconds.

        Returns
        -------
        (64, 64, 5) float32 array in [0, 1]
            As by `lowlight.imaging.exposure.overview`.
        """
        shot = self.shots[max(0, bisect_right(self.shots, time, key=lambda shot: shot.start) - 1)]
        first = bisect_left(shot.times, time - REACH * SECONDS)
        near = slice(first, bisect_right(shot.times, time + REACH * SECONDS))
        weights = np.exp(-0.5 * ((np.array(shot.times[near]) - time) / SECONDS) ** 2)
        average = np.average(np.stack(shot.overviews[near]).astype(np.float32), axis=0, weights=weights)
        return np.clip(np.exp(average) - BLACK, 0, 1).astype(np.float32)
