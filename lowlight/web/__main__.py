"""Serve a page to drop photos on, to this machine alone.

    python -m lowlight.web                        # then open http://127.0.0.1:7860
    python -m lowlight.web --model 11 --port 8000
    curl -F photo=@night.jpg http://127.0.0.1:7860/api/enhance -o bright.jpg

Photos stay on this machine; those uploaded and their results are deleted when the server stops, or after an hour.
http://127.0.0.1:7860/api/docs describes what other programs can ask for. Ctrl-C stops the server.
"""

import sys

from lowlight.cli.parse import parse
from lowlight.system import run
from lowlight.web.settings import ServeSettings


def main() -> int:
    settings = parse(ServeSettings, __doc__)
    from lowlight.web.server import serve  # Gradio is loaded here, after the settings are known to be right

    return serve(settings)


if __name__ == "__main__":
    sys.exit(run(main))
