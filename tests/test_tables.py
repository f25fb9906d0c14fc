"""Tables of pairs: what is not there, said twice or not read is told; splits beside them are followed."""

import pytest

from lowlight.data.splits import listed_pairs
from tests.test_layouts import load, refusal, table, table_with_paths, write_sides


def test_a_table_that_names_what_is_not_there_or_twice_is_refused_by_name(tmp_path):
    table(tmp_path)
    with (tmp_path / "pairs.csv").open("a") as file:
        file.write("\ngone.jpg,0_t.jpg\n5_0.jpg,5_t.jpg\n")
    message = refusal(tmp_path)
    assert "1 not beside" in message
    assert "gone.jpg" in message
    assert "1 listed twice in the table: 5_0.jpg + 5_t.jpg" in message
    (tmp_path / "pairs.csv").write_text("a,b\n1,2\n")
    assert "Received: columns a, b. Name two of them low and high" in refusal(tmp_path)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_may_be_separated_as_excel_does_where_commas_are_for_decimals(tmp_path, separator):
    table(tmp_path)
    lines = (tmp_path / "pairs.csv").read_text().replace(",", separator)
    (tmp_path / "pairs.csv").write_text(lines, encoding="utf-8-sig")
    assert len(load(tmp_path)[0].train) == 5
    train, held_out = listed_pairs(tmp_path)
    assert (len(train), len(held_out)) == (5, 1)


def test_more_pairs_are_listed_as_pairs_are(tmp_path):
    """By columns of other names, and by paths that begin beside the table, though there is a folder images."""
    table_with_paths(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "list.csv").rename(tmp_path / "pairs.csv")
    found = {(pair.low, pair.high) for part in listed_pairs(tmp_path) for pair in part}
    split, _ = load(tmp_path)
    assert found == {(pair.low, pair.high) for pair in (*split.train, *split.val)}
    assert len(found) == 6
    assert {pair.name for pair in (*split.train, *split.val)} == set("012345")


def test_a_table_may_have_been_written_on_windows(tmp_path):
    table_with_paths(tmp_path)
    lines = (tmp_path / "list.csv").read_text().replace("/", "\\")
    assert "\\" in lines
    (tmp_path / "list.csv").rename(tmp_path / "pairs.csv").write_text(lines)
    train, held_out = listed_pairs(tmp_path)
    split, _ = load(tmp_path)
    assert len(train + held_out) == len(split.train + split.val) == 6
    assert {pair.name for pair in (*split.train, *split.val)} == set("012345")


def test_of_columns_that_could_be_one_side_that_is_taken_which_is_called_so(tmp_path):
    write_sides(tmp_path, "low", "high", range(6))
    lines = ["target,low,high", *(f"lost,low/{seed}.png,high/{seed}.png" for seed in range(6))]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    assert "a table of 6 pairs; not read: target" in load(tmp_path)[1]


def test_pairs_of_a_table_are_called_with_their_folders_where_files_are_called_alike(tmp_path):
    lines = ["low,high"]
    for seed in range(4):
        write_sides(tmp_path / "sets", f"n{seed}", f"n{seed}", [seed], "dark.png", "bright.png")
        lines.append(f"sets/n{seed}/dark.png, sets/n{seed}/bright.png")
    (tmp_path / "PAIRS.CSV").write_text("\n".join(lines))
    split, _ = load(tmp_path / "PAIRS.CSV")
    assert {pair.name for pair in (*split.train, *split.val)} == {f"sets/n{seed}/dark" for seed in range(4)}


def test_a_csv_file_of_another_kind_is_no_table(tmp_path):
    write_sides(tmp_path, "low", "high", range(4))
    (tmp_path / "notes.csv").write_bytes("Größe,Breite\n".encode("latin-1"))
    assert "Understood: low + high" in load(tmp_path)[1]
    message = refusal(tmp_path / "notes.csv")
    assert "notes.csv cannot be read as a table of pairs" in message
    assert "in UTF-8" in message


def test_of_several_tables_pairs_csv_is_read(tmp_path):
    table(tmp_path)
    (tmp_path / "mine.csv").write_text("low,high\n0_0.jpg,0_t.jpg\n")
    assert "Understood: pairs.csv, a table of 6 pairs" in load(tmp_path)[1]


def test_columns_of_a_table_that_change_nothing_such_as_of_parts_are_told(tmp_path):
    table_with_paths(tmp_path)
    assert "a table of 6 pairs; not read: id\n" in load(tmp_path)[1] + "\n"


def test_a_row_that_ends_too_early_is_told_and_an_empty_one_is_none(tmp_path):
    table(tmp_path)
    with (tmp_path / "pairs.csv").open("a") as file:
        file.write("\n6_0.jpg\n,,\n\n")
    assert "1 not beside" in (message := refusal(tmp_path))
    assert "an empty cell in the row of 6_0.jpg" in message


def test_a_split_beside_a_table_is_followed_also_where_the_table_is_named(tmp_path):
    table(tmp_path)
    (tmp_path / "split.json").write_text('{"train": ["0_0", "1_0"], "val": ["2_0"]}')
    for named in (tmp_path, tmp_path / "pairs.csv"):
        split, _ = load(named)
        assert [pair.name for pair in (*split.train, *split.val)] == ["0_0", "1_0", "2_0"]
