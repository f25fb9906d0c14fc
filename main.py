"""Enhance dark photos.

    python main.py                           # all photos in test/low into test/predicted
    python main.py holiday/ night.jpg -o out # any photos and folders
    python main.py --list-models             # which models there are, and how good each is

The photos stay as they are. Exit status: 0 all done, 1 some photos failed, 2 nothing was begun.
"""

import sys

from lowlight.cli import parse, run
from lowlight.settings import EnhanceSettings


def main() -> int:
    settings = parse(EnhanceSettings, __doc__)
    if settings.list_models or settings.download:
        from lowlight import catalogue

        return catalogue.show() if settings.list_models else catalogue.download(settings.download, settings.models_url)
    from lowlight.batch import enhance_all

    return enhance_all(settings)


if __name__ == "__main__":
    sys.exit(run(main))
