"""What is kept of earlier measurements: rows of sets that several processes write, files that people open and save."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lowlight.benchmark import report
from lowlight.benchmark.rows import current_rows
from lowlight.errors import UserError

ROWS = [
    {"set": "one, held out", "photos": 2, "method": "untouched input", "weights": "", "psnr": 8.25},
    {"set": "one, held out", "photos": 2, "method": "mine", "weights": "12", "psnr": 18.5, "psnr_oracle": 20.0},
]


def test_rows_that_are_written_at_the_same_time_are_all_kept(tmp_path, monkeypatch):
    def slowly(path):
        found = read(path)
        time.sleep(0.02)
        return found

    def add(name):
        row = {"set": "one", "photos": 1, "method": name, "weights": "ab", "psnr": 8.0}
        report.update_sets(tmp_path / "statistics" / report.HELD_OUT, lambda rows: [*rows, row])

    read = report.read_sets
    monkeypatch.setattr(report, "read_sets", slowly)
    with ThreadPoolExecutor(4) as processes:
        list(processes.map(add, "abcdefgh"))
    assert sorted(row["method"] for row in read(tmp_path / "statistics" / report.HELD_OUT)) == list("abcdefgh")
    assert [path.name for path in (tmp_path / "statistics").iterdir()] == [report.HELD_OUT]


def test_rows_of_baselines_stay_where_those_of_other_models_do_not():
    kept = [row["method"] for row in current_rows(ROWS, {"mine": "21" * 32}, others=False)]
    assert kept == ["untouched input"]
    others = [*ROWS, ROWS[1] | {"method": "theirs"}]
    assert current_rows(others, {"mine": "12" + "0" * 62}, others=False) == ROWS[:1]
    mine = ROWS[1] | {"weights": "120000000000"}
    assert current_rows([*ROWS, mine], {"mine": "12" + "0" * 62}, others=True) == [ROWS[0], mine]


def test_rows_that_windows_has_saved_are_read(tmp_path):
    path = tmp_path / report.HELD_OUT
    report.write_sets(path, ROWS)
    path.write_bytes(path.read_text().replace("\n", "\r\n").encode("utf-8-sig"))
    assert report.read_sets(path) == ROWS


def test_what_a_stage_of_a_training_has_not_measured_is_no_number(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,val_psnr_oracle\n1,21.5\n2,\n")
    rows = report._keep_history(tmp_path / "model_12", {}, tmp_path / "history.csv")
    assert [row["val_psnr_oracle"] for row in rows] == [21.5, pytest.approx(float("nan"), nan_ok=True)]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text.replace(",", ";").replace(".", ","), "KeyError: 'set'"),  # as where commas are for decimals
        (lambda text: text.replace("8.25", "8,25"), "TypeError"),
        (lambda text: text.replace("8.25", "eight"), "JSONDecodeError"),
    ],
)
def test_rows_that_somebody_has_spoilt_are_told_with_their_file(tmp_path, change, fault):
    path = tmp_path / report.HELD_OUT
    report.write_sets(path, ROWS)
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=rf"not as they were written\. Received: .*held_out\.csv \({fault}"):
        report.read_sets(path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"other": 1}', '{"scores": {"val": [1]}}'])
def test_a_summary_that_is_none_is_told_with_its_file_before_the_long_work(tmp_path, content):
    (tmp_path / "model_10").mkdir()
    (tmp_path / "model_10" / "summary.json").write_text(content)
    with pytest.raises(UserError, match=r"not as they were written\. Received: .*summary\.json"):
        report.make_folder(tmp_path / "model_11")
