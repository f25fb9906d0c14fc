"""What is decided for a whole frame of a clip, smoothed over time so that brightness does not flicker."""

import numpy as np

from lowlight.exposure import BLACK, level

SECONDS = 5.0
"""After which decisions have followed a lasting change of the light by 63 %.

In less, what a pan brings into view changed the brightness of the result by more than that of the clip.
"""

CUT = 0.2
"""A change of half of the regions' brightness from one frame to the next, in log units, that is a cut to another scene.

A lamp that comes into view changes fewer of them. A cut between scenes of one brightness stays unnoticed; but then
their decisions are much alike, too.
"""


class Smoothing:
    """An exponential average of a clip's overviews, in log units, that starts anew at each cut.

    Whatever `lowlight.enhancer.Enhancer` decides from the average changes slowly, so that the brightness of the result
    changes as that of the clip does.
    """

    def __init__(self) -> None:
        self.average = np.zeros(0, np.float32)
        self.level: np.ndarray | None = None
        self.time = 0.0

    def __call__(self, small: np.ndarray, time: float) -> np.ndarray:
        """Take the next frame in.

        Parameters
        ----------
        small : (64, 64, 5) float32 array in [0, 1]
            Of the frame, by `lowlight.exposure.overview`.
        time : float
            When it is shown, in seconds.

        Returns
        -------
        (64, 64, 5) float32 array in [0, 1]
            What to decide from.
        """
        now, logarithm = level(small), np.log(small + BLACK)
        if self.level is None or np.median(np.abs(now - self.level)) > CUT:
            self.average = logarithm
        else:
            share = 1 - np.exp(-max(time - self.time, 0.0) / SECONDS)
            self.average = self.average + np.float32(share) * (logarithm - self.average)
        self.level, self.time = now, time
        return np.clip(np.exp(self.average) - BLACK, 0, 1)
