"""Train one model of the old generation (1 to 3): the whole set in memory, one learning rate.

    python train_old.py --model 2 --data LOL --minutes 60      # a folder of pairs, an hour
    python train_old.py --model 3 --data synthetic --epochs 1  # no dataset needed

Weights, card, history and the state to go on from are written to runs/model_NN. The same command goes on
after a crash or Ctrl-C.
"""

import sys

from lowlight.cli import hello
from lowlight.system import end, run


def main() -> int:
    hello.greet(sys.argv[1:])
    from lowlight.cli.parse import parse  # after the greeting, because this takes a moment
    from lowlight.commands import train
    from lowlight.settings import TrainingSettings

    return train(parse(TrainingSettings, __doc__, command="train"), "old")


if __name__ == "__main__":
    end(run(main))
