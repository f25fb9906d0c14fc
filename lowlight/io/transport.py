"""Transport streams of MPEG (ISO/IEC 13818-1), as of broadcasts and camcorders: whether one is whole."""

import os
from pathlib import Path

PACKET = 188
"""Bytes from where a packet begins (2.4.3)."""

STEPS = (PACKET, 192, 204)
"""Bytes from one packet to the next: as they are, behind a time of 4 bytes (Blu-ray), before a code of 16 (DVB)."""

SYNC = b"\x47"
"""What each packet begins with."""

IN_A_ROW = 5
"""Packets that show where one begins, and how far it is to the next."""

LOOKED_AT = 2**16
"""Bytes in which the first packet begins; that of a recording may not be whole, either."""


def is_cut(path: Path) -> bool:
    """Whether a transport stream ends within a packet; what some recorders fill it up with is none."""
    with path.open("rb") as file:
        start = file.read(LOOKED_AT)
        for first in range(len(start)):
            for step in STEPS:
                if start[first : first + IN_A_ROW * step : step] == SYNC * IN_A_ROW:
                    rest = (file.seek(0, os.SEEK_END) - first) % step
                    file.seek(-rest, os.SEEK_END)
                    return rest < PACKET and file.read(1) == SYNC
    return False
