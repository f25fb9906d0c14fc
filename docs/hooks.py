"""Let pages of the project's root and pictures of statistics/ be part of the built pages.

In the sources, links between them work as on a code host: ../CONTRIBUTING.md, ../statistics/light.png.
"""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")


def on_files(files, config):
    """Add what lies outside docs/."""
    for path in (*(ROOT / name for name in PAGES), *sorted((ROOT / "statistics").glob("*.png"))):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Mend links that leave docs/, or that lead into it from the project's root."""
    if page.file.src_uri in PAGES:
        return markdown.replace("](docs/", "](")
    return re.sub(rf"\]\(\.\./(statistics/[^)]*\.png|{'|'.join(map(re.escape, PAGES))})", r"](\1", markdown)
