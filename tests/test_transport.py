"""A transport stream that ends within a packet is known by its packets alone."""

import pytest

from lowlight.io.transport import is_cut


@pytest.mark.parametrize(("before", "behind"), [(0, 0), (4, 0), (0, 16)], ids=["plain", "Blu-ray", "DVB"])
@pytest.mark.parametrize("begun", [0, 70])
def test_what_ends_within_a_packet_is_cut_and_what_was_filled_up_is_not(before, behind, begun, tmp_path):
    """Also where the recording began within one."""
    whole = (bytes(before) + b"\x47" + bytes(187) + bytes(behind)) * 9
    for tail, cut in ((b"", False), (bytes(before) + b"\x47" + bytes(100), True), (bytes(50), False)):
        (tmp_path / "a.ts").write_bytes(whole[begun:] + tail)
        assert is_cut(tmp_path / "a.ts") == cut


def test_what_is_no_transport_stream_is_not_cut(tmp_path):
    for data in (b"", bytes(1000), bytes(range(256)) * 40):
        (tmp_path / "a.ts").write_bytes(data)
        assert not is_cut(tmp_path / "a.ts")
