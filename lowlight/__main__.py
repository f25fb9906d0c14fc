"""Turn dark, noisy photos into bright, clean ones.

    lowlight night.jpg holiday/ -o enhanced    # enhance photos, folders and clips
    lowlight models                            # which models there are, and how good each is
    lowlight s3://in -o s3://out --engine ray  # a million photos, on a cluster
    lowlight serve                             # a page to drop photos on
    lowlight train --model 10 --data LOL       # train a model of the ladder
    lowlight measure --model 10 --data LOL     # train, then measure; --evaluate-only measures what is trained
    lowlight average 12 runs/mine -o mean      # the mean of the weights of two models
    lowlight export --format onnx              # a model for another runtime
    lowlight completion bash                   # what makes the shell complete all of this

lowlight COMMAND --help lists the options of one; those of `enhance`, which may be left out, are those of main.py.
Settings may also stand in lowlight.toml, in the folder where the command is given.
"""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, and end the process with its exit status."""
    from lowlight.cli import hello

    hello.greet(sys.argv[1:])
    from lowlight import commands  # after the greeting, because this takes a moment
    from lowlight.system import end, run

    end(run(lambda: commands.dispatch(sys.argv[1:], __doc__ or "")))


if __name__ == "__main__":
    main()
