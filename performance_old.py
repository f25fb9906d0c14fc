"""Train one model of the old generation (1 to 3) and measure it, or measure one that is trained.

    python performance_old.py --model 2 --data LOL --minutes 60      # train, then measure
    python performance_old.py --model 2 --data LOL --evaluate-only   # measure models/model_02

Prints PSNR, MAE, MSE and SSIM on validation and test beside three baselines; tables and plots are written to
statistics/model_NN, and statistics/README.md compares all models measured so far.
"""

import sys

from lowlight.cli import hello
from lowlight.system import end, run


def main() -> int:
    hello.greet(sys.argv[1:])
    from lowlight.cli.parse import parse  # after the greeting, because this takes a moment
    from lowlight.commands import measure
    from lowlight.settings import PerformanceSettings

    return measure(parse(PerformanceSettings, __doc__, command="measure"), "old")


if __name__ == "__main__":
    end(run(main))
