"""Enhance a folder or a bucket of photos on all workers of a Ray cluster.

    python -m lowlight.cluster photos -o bright                                  # all cores of this machine
    python -m lowlight.cluster s3://archive/2019 -o s3://bright/2019 --address auto
    python -m lowlight.cluster gs://archive -o gs://bright --address auto --gpus 0.25

Results that exist are skipped, so that the same command goes on where it stopped. Exit status: 0 all done, 1 some
photos failed, 2 nothing was begun, 130 Ctrl-C.
"""

import sys

from lowlight.cli.parse import parse
from lowlight.cluster.settings import ClusterSettings
from lowlight.errors import UserError
from lowlight.system import run


def main() -> int:
    """Run the command and give its exit status."""
    settings = parse(ClusterSettings, __doc__)
    try:
        from lowlight.cluster.run import enhance_all
    except ModuleNotFoundError as error:
        raise UserError(
            f"Ray is not installed. Received: no module {error.name}. Install it: pip install 'lowlight[cluster]'."
        ) from None
    return enhance_all(settings)


if __name__ == "__main__":
    sys.exit(run(main))
