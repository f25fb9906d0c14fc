"""Enhance dark photos.

    python main.py                                # all photos in test/low into test/predicted
    python main.py holiday/ night.jpg -o out      # any photos and folders
    python main.py holiday/ -o out --recursive    # with the tree of subfolders
    python main.py clip.mp4 -o out                # a clip, frame by frame
    python main.py - < night.jpg > bright.jpg     # one photo, from and to other programs
    python main.py --list-models                  # which models there are, and how good each is

The photos stay as they are. Exit status: 0 all done, 1 some photos failed, 2 nothing was begun, 130 Ctrl-C.
"""

import sys

from lowlight.cli import hello
from lowlight.system import run


def main() -> int:
    hello.greet(sys.argv[1:])
    from lowlight.commands import enhance_by_script  # after the greeting, because this takes a moment

    return enhance_by_script(sys.argv[1:], __doc__)


if __name__ == "__main__":
    sys.exit(run(main))
