"""The page as a Space on the Hugging Face Hub, where it is called app.py."""

import os
import sys

from lowlight.system import run
from lowlight.web.server import serve
from lowlight.web.settings import ServeSettings


def main() -> int:
    return serve(ServeSettings(host="0.0.0.0", port=int(os.environ.get("PORT", 7860)), max_megapixels=25, max_photos=8))


if __name__ == "__main__":
    sys.exit(run(main))
