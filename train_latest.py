"""Train one model of the latest generation (4 and up): ImageDataGenerator and a decaying learning rate.

    python train_latest.py --model 10 --data LOL --minutes 60     # a folder of pairs, an hour
    python train_latest.py --model 8 --data synthetic --epochs 1  # no dataset needed

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

    return train(parse(TrainingSettings, __doc__, command="train"), "latest")


if __name__ == "__main__":
    end(run(main))
