"""What a report writes is opened and looked at: CSV, JSON, PNG and the overview's table."""

import csv
import io
import json
import math

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image
from rich.console import Console

from lowlight.benchmark import plots, report, tables
from lowlight.errors import UserError
from lowlight.zoo.recipes import RECIPES

BASELINES = ["untouched input", "gamma 0.4", "histogram equalisation"]

HISTORY = """\
epoch,step,minutes,learning_rate,loss,psnr,mae,mse,val_loss,val_psnr,val_mae,val_mse
1,10,0.1,0.001,0.2,12,0.2,0.06,0.21,11.5,0.21,0.07
2,20,0.2,0.0009,0.1,16,0.1,0.03,0.12,15.5,0.12,0.03
3,30,0.3,0.0008,0.08,17,0.08,0.02,0.13,15.2,0.13,0.031
"""


def rows(psnr, names=("a", "b")):
    """Rows of one method as `evaluate` gives them."""
    return [
        {"name": name, "psnr": psnr + i, "psnr_gt_mean": psnr + 3, "mae": 1 / psnr, "mse": 0.1 / psnr, "ssim": 0.5}
        for i, name in enumerate(names)
    ]


def example(title, width=60, height=40):
    """A row of photos in red, green and blue."""
    photos = np.zeros((3, height, width, 3), np.uint8)
    for index in range(3):
        photos[index, ..., index] = 255
    return plots.Example(title, ("input", "output", "truth"), tuple(photos))


def write(folder, name="model_10", psnr=20.0, baseline=8.0, sha256="ab", history=None, parts=("val", "test")):
    """Write the report of a made-up model; gives its summary and rows."""
    by_part = {
        part: {method: rows(baseline + i) for i, method in enumerate(BASELINES)} | {name: rows(psnr + (part == "test"))}
        for part in parts
    }
    scores = {
        part: {
            method: tables.rounded({k: np.mean([row[k] for row in of]) for k in of[0] if k != "name"})
            for method, of in m.items()
        }
        for part, m in by_part.items()
    }
    summary = {
        "name": name,
        "parameters": 75_651,
        "recipe": {"loss": "mae", "number": int(name[-2:])},
        "training": {"minutes": 20.4, "megapixels": 1234.5},
        "stages": [{"part": part, "minutes": 15.2} for part in ("whole", "exposure")[: 1 + (name == "model_02")]],
        "cost": {"macs_per_pixel": 1000 * int(name[-2:]), "seconds_per_megapixel": 0.25, "machine": "x86_64"},
        "weights": {"sha256": sha256},
        "baselines": BASELINES,
        "protocol": "As a saved file.",
        "split": {"source": "split.json of the data folder"} | dict.fromkeys(parts, 2),
        "notes": ["A note."],
        "scores": scores,
    }
    report.write_report(folder, summary, by_part, [example("validation, best: photo a")], history)
    report.write_overview(folder)
    return summary, by_part


@pytest.mark.parametrize("name", ["model_12", "model_12 of the fifth try (colab), 12"])
def test_no_number_is_cut_from_the_table_of_a_terminal_of_80_columns(tmp_path, name):
    summary, _ = write(tmp_path, name)
    summary["scores"]["val"][name] |= {"psnr_oracle": 29.59, "ssim_oracle": 0.889}
    shown = Console(width=80, file=io.StringIO())
    shown.print(tables.table([summary], "val"))
    line = next(line for line in shown.file.getvalue().splitlines() if "model_12" in line)
    assert line.split()[-2:] == ["29.59", "0.889"]


@pytest.mark.usefixtures("blank_plots")
def test_one_photo_is_no_photos(tmp_path):
    summary, _ = write(tmp_path)
    assert "\n## 2 validation photos, 2 test photos\n" in (tmp_path / "README.md").read_text()
    one = summary | {"split": summary["split"] | {"val": 1}}
    (tmp_path / "model_10" / "summary.json").write_text(json.dumps(one))
    report.write_overview(tmp_path)
    assert "\n## 1 validation photo, 2 test photos\n" in (tmp_path / "README.md").read_text()


def contents(folder):
    """Path and bytes of all files in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def history(tmp_path):
    """A training's history.csv of three epochs, the second of them the best."""
    path = tmp_path / "run" / "history.csv"
    path.parent.mkdir()
    path.write_text(HISTORY)
    return path


def test_a_report_has_these_files_and_no_others(tmp_path, history):
    write(tmp_path / "s", history=history)
    of_model = ["history.csv", "images.csv", "summary.json", "psnr.png", "mae.png", "mse.png", "loss.png", "photos.png"]
    overview = ["README.md", "psnr.png", "mae.png", "mse.png", "cost.png"]
    assert set(contents(tmp_path / "s")) == {f"model_10/{name}" for name in of_model} | set(overview)
    assert (tmp_path / "s" / "model_10" / "history.csv").read_text() == HISTORY


def test_the_same_scores_give_the_same_bytes(tmp_path, history):
    write(tmp_path / "s", history=history)
    first = contents(tmp_path / "s")
    write(tmp_path / "s", history=history)
    assert contents(tmp_path / "s") == first
    for name, content in first.items():
        if name.endswith(".png"):
            assert not {b"tEXt", b"tIME", b"iTXt"} & {content[i : i + 4] for i in range(len(content) - 3)}


def test_images_csv_has_a_row_for_each_photo_method_and_part(tmp_path, blank_plots):
    _, by_part = write(tmp_path / "s")
    with (tmp_path / "s" / "model_10" / "images.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2 * 4 * 2
    assert list(table[0]) == ["split", "image", "method", "psnr", "psnr_gt_mean", "mae", "mse", "ssim"]
    (row,) = (r for r in table if (r["split"], r["image"], r["method"]) == ("test", "b", "model_10"))
    assert float(row["psnr"]) == by_part["test"]["model_10"][1]["psnr"] == 22
    assert row["mse"] == "0.00476190"


def test_perfect_photos_and_missing_ssim_are_written_readably(tmp_path, blank_plots):
    assert tables.rounded({"psnr": 12.34567, "ssim": math.nan}) == {"psnr": 12.3457, "ssim": None}
    summary, by_part = write(tmp_path / "s", parts=("val",))
    summary["scores"]["val"]["model_10"]["ssim"] = None
    by_part["val"]["model_10"][0] |= {"psnr": math.inf, "ssim": math.nan}
    report.write_report(tmp_path / "s", summary, by_part, [example("x")])
    report.write_overview(tmp_path / "s")
    line = (tmp_path / "s" / "model_10" / "images.csv").read_text().splitlines()[7]
    assert line.startswith("val,a,model_10,inf,")
    assert line.endswith(",nan")
    assert (
        json.loads((tmp_path / "s" / "model_10" / "summary.json").read_text())["scores"]["val"]["model_10"]["ssim"]
        is None
    )
    assert readme_rows(tmp_path / "s")["model_10"]["SSIM"] == "–"


def test_summary_json_is_the_summary_in_sorted_order(tmp_path, blank_plots):
    summary, _ = write(tmp_path / "s")
    text = (tmp_path / "s" / "model_10" / "summary.json").read_text()
    assert json.loads(text) == summary
    assert text == json.dumps(summary, indent=2, sort_keys=True) + "\n"


def readme_rows(folder):
    """The overview's tables: by method, the cells by their column; a link's text stands for it."""
    lines = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("| ")]
    head, _, *cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].split("]")[0].lstrip("["): dict(zip(head, row, strict=True)) for row in cells}


def test_the_overview_table_equals_the_summaries(tmp_path, blank_plots):
    write(tmp_path / "s", "model_02", 14.0)
    write(tmp_path / "s", "model_10", 20.0)
    table = readme_rows(tmp_path / "s")
    assert list(table) == [*BASELINES, "model_02", "model_10"]
    for name in ("model_02", "model_10"):
        summary = json.loads((tmp_path / "s" / name / "summary.json").read_text())
        assert table[name]["parameters"] == "75,651"
        assert table[name]["s/MP"] == "0.25"
        plan = RECIPES[summary["recipe"]["number"]]
        assert table[name]["the one new idea, and why"] == f"{plan.idea} {plan.why}"
        for method in (name, "gamma 0.4"):
            val, test = (summary["scores"][part][method] for part in ("val", "test"))
            assert table[method]["PSNR (dB)"] == f"{val['psnr']:.2f} / {test['psnr']:.2f}"
            assert table[method]["GT-mean PSNR (dB)"] == f"{val['psnr_gt_mean']:.2f} / {test['psnr_gt_mean']:.2f}"
            assert table[method]["MAE"] == f"{val['mae']:.4f} / {test['mae']:.4f}"
            assert table[method]["MSE"] == f"{val['mse']:.4f} / {test['mse']:.4f}"
            assert table[method]["SSIM"] == f"{val['ssim']:.3f} / {test['ssim']:.3f}"
    assert table["model_10"]["MACs/px"] == "10,000"
    assert table["model_10"]["trained"] == "20 min, 1,234 MP"
    assert table["model_02"]["trained"] == "30 min in 2 stages"
    assert table["gamma 0.4"]["parameters"] == ""
    assert tables._trained({"training": {"minutes": 0.27, "megapixels": 0.0642}}) == "0.3 min, 0.06 MP"
    text = (tmp_path / "s" / "README.md").read_text()
    assert text.count("- A note.") == 1
    assert "chosen by the validation split only" in text


def test_the_change_is_against_the_model_before_on_validation(tmp_path, blank_plots):
    for name, psnr in (("model_01", 14.0), ("model_02", 13.5), ("model_03", 15.0), ("model_05", 16.0)):
        write(tmp_path / "s", name, psnr)
    table = readme_rows(tmp_path / "s")
    changes = {name: table[name]["change (dB)"] for name in ("model_01", "model_02", "model_03", "model_05")}
    assert changes == {"model_01": "", "model_02": "-0.50", "model_03": "+1.50", "model_05": ""}


def test_what_another_process_measures_as_the_overview_is_written_is_in_it(tmp_path, blank_plots, monkeypatch):
    write(tmp_path / "s", "model_01")
    write(tmp_path / "other", "model_02")

    def bars(*facts):
        if not (tmp_path / "s" / "model_02").exists():
            (tmp_path / "other" / "model_02").rename(tmp_path / "s" / "model_02")
        return b""

    monkeypatch.setattr(plots, "bars", bars)
    report.write_overview(tmp_path / "s")
    assert {"model_01", "model_02"} <= readme_rows(tmp_path / "s").keys()


def test_the_sheet_of_all_models_is_shown_where_there_is_one(tmp_path, blank_plots):
    write(tmp_path / "s")
    assert "ladder.png" not in (tmp_path / "s" / "README.md").read_text()
    (tmp_path / "s" / "ladder.png").write_bytes(b"")
    report.write_overview(tmp_path / "s")
    assert "(ladder.png)" in (tmp_path / "s" / "README.md").read_text()


def test_scores_under_their_former_names_are_still_shown(tmp_path, blank_plots):
    summary, _ = write(tmp_path, "model_11")
    summary["scores"]["val"]["model_11"]["psnr_told"] = 27.125
    (tmp_path / "model_11" / "summary.json").write_text(json.dumps(summary))
    report.write_overview(tmp_path)
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert any("oracle exposure: PSNR (dB)" in line for line in lines)
    assert any(line.startswith("| [model_11]") and "27.12 / –" in line for line in lines)


def test_models_measured_on_other_photos_are_not_compared(tmp_path, blank_plots):
    write(tmp_path / "s", "model_01", 14.0)
    write(tmp_path / "s", "model_02", 15.0)
    write(tmp_path / "s", "model_03", 30.0, baseline=10.0)
    text = (tmp_path / "s" / "README.md").read_text()
    ours, others = text.split("## ")[1:]
    assert "model_01" in ours
    assert "model_02" in ours
    assert "model_03" not in ours
    assert "model_03" in others
    assert "(psnr_2.png)" in others
    assert (tmp_path / "s" / "psnr_2.png").is_file()
    write(tmp_path / "s", "model_03", 16.0)
    assert (tmp_path / "s" / "README.md").read_text().count("## ") == 1
    assert not (tmp_path / "s" / "psnr_2.png").exists()


def test_charts_of_several_groups_that_become_one_at_once_do_not_stay(tmp_path, blank_plots):
    for number in (1, 2, 3):
        write(tmp_path / "s", f"model_0{number}", baseline=8.0 + number)
    assert len(list((tmp_path / "s").glob("*_3.png"))) == 4
    for number in (1, 2):
        (tmp_path / "s" / f"model_0{number}" / "summary.json").unlink()
    report.write_overview(tmp_path / "s")
    assert {path.name for path in (tmp_path / "s").glob("*.png")} == {"cost.png", "mae.png", "mse.png", "psnr.png"}


def test_a_part_that_was_not_measured_is_absent(tmp_path, blank_plots):
    write(tmp_path / "s", parts=("val",))
    assert readme_rows(tmp_path / "s")["model_10"]["PSNR (dB)"] == "20.50"
    assert "Scores: validation." in (tmp_path / "s" / "README.md").read_text()
    assert "test," not in (tmp_path / "s" / "model_10" / "images.csv").read_text()


def test_history_stays_only_with_the_weights_it_tells_of(tmp_path, history):
    folder = tmp_path / "s" / "model_10"
    write(tmp_path / "s", history=history)
    write(tmp_path / "s", history=tmp_path / "nowhere" / "history.csv")
    assert (folder / "history.csv").is_file()
    with Image.open(folder / "psnr.png") as wide:
        assert wide.width > 1200
    write(tmp_path / "s", sha256="other weights")
    assert not (folder / "history.csv").exists()
    assert not (folder / "loss.png").exists()
    with Image.open(folder / "psnr.png") as narrow:
        assert narrow.width < 1000


def test_the_epoch_is_marked_whose_weights_were_kept_for_their_validation_loss(monkeypatch, history):
    figures = []
    monkeypatch.setattr(plots, "_png", lambda figure: figures.append(figure) or b"")
    with history.open(newline="") as file:
        epochs = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    plots.loss(epochs, "mae", "model_10")
    train, validation, mark = (line for line in figures[0].axes[0].get_lines() if not line.get_label().startswith("_"))
    assert "training mode" in train.get_label()
    assert list(train.get_ydata()) == [0.2, 0.1, 0.08]
    assert "whole photos" in validation.get_label()
    assert list(validation.get_ydata()) == [0.21, 0.12, 0.13]
    assert (*mark.get_xdata(), *mark.get_ydata()) == (2, 0.12)
    assert "epoch 2, 0.1200" in mark.get_label()


STAGES = """epoch,stage,loss,psnr,mae,mse,val_loss,val_psnr,val_mae,val_mse,val_psnr_oracle
1,1,0.2,15,0.2,0.04,0.05,16,0.2,0.04,27
2,2,0.1,nan,nan,nan,0.12,20,0.1,0.01,
3,2,0.08,nan,nan,nan,0.13,21,0.1,0.01,
"""


@pytest.mark.parametrize(("keep_last", "epoch", "why"), [(True, 3, "the last"), (False, 2, "of the lowest")])
def test_a_training_in_stages_is_reported_with_the_epoch_that_it_kept(tmp_path, monkeypatch, keep_last, epoch, why):
    (tmp_path / "history.csv").write_text(STAGES)
    write(tmp_path / "s", history=tmp_path / "history.csv")
    assert (tmp_path / "s" / "model_10" / "history.csv").read_text() == STAGES
    figures = []
    monkeypatch.setattr(plots, "_png", lambda figure: figures.append(figure) or b"")
    epochs = [{key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(STAGES.splitlines())]
    plots.loss(epochs, "mae", "model_10", keep_last)
    mark = figures[0].axes[0].get_lines()[-1]
    assert list(mark.get_xdata()) == [epoch]
    assert f"kept, {why}" in mark.get_label()
    train, validation, boundary, *_ = figures[0].axes[0].get_lines()
    np.testing.assert_array_equal(train.get_xydata(), [[1, 0.2], [np.nan] * 2, [2, 0.1], [3, 0.08]])
    np.testing.assert_array_equal(validation.get_ydata(), [0.05, np.nan, 0.12, 0.13])
    assert list(boundary.get_xdata()) == [1, 1]
    assert "another" in boundary.get_label()


def test_bars_are_as_long_as_their_scores(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "_png", lambda figure: figures.append(figure) or b"")
    plots.bars(
        "psnr", "PSNR (dB)", {"gamma 0.4": {"validation": 12.5, "test": 14.0}, "m": {"validation": 20, "test": 21}}
    )
    axes = figures[0].axes[0]
    assert [[bar.get_width() for bar in bars] for bars in axes.containers] == [[12.5, 20], [14.0, 21]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gamma 0.4", "m"]
    assert {"12.50", "21.00"} <= {text.get_text() for text in axes.texts}
    assert "higher is better" in axes.get_title("left")


def test_points_stand_at_their_cost_and_quality(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "_png", lambda figure: figures.append(figure) or b"")
    plots.cost({"model_01": (75_456, 14.5), "model_10": (22_392, 20.5)}, "validation")
    axes = figures[0].axes[0]
    (points,) = axes.get_lines()
    assert points.get_xydata().tolist() == [[75_456, 14.5], [22_392, 20.5]]
    assert [text.get_text() for text in axes.texts] == ["model_01", "model_10"]
    assert axes.get_xscale() == "log"


def test_names_as_long_as_people_give_them_leave_room_for_the_charts(tmp_path, history, monkeypatch):
    figures = []
    png = plots._png
    monkeypatch.setattr(plots, "_png", lambda figure: figures.append(figure) or png(figure))
    write(tmp_path / "s", "my model with residual blocks (colab, third try, November 2026), epoch 10", history=history)
    assert len(figures) == 8  # three metrics and the loss; three metrics of all models, and the cost
    assert all(sum(axes.get_position().width for axes in figure.axes) > 0.6 for figure in figures)
    assert not any("blocks" in text.get_text() for figure in figures for text in figure.findobj(Text))
    assert tables.shortened("a name of which both ends tell", 11) == "a nam… tell"


def test_one_photo_stands_at_1_and_no_tick_between_photos(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "_png", lambda figure: figures.append(figure) or b"")
    plots.metric("psnr", "PSNR (dB)", [], {**dict.fromkeys(BASELINES, [5.0]), "m": [20.0]}, "validation", "m")
    assert all(tick == round(tick) for tick in figures[0].axes[0].get_xticks())


def test_many_photos_go_on_in_the_next_row(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (5, 3), dtype=np.uint8)
    photos = [np.full((40, 60, 3), colour, np.uint8) for colour in colours]
    (tmp_path / "sheet.png").write_bytes(plots.photos([plots.Example("one", "abcde", photos)], 60, columns=4))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[1] == 12 + 4 * (60 + 12)
    for column in range(4):
        assert (sheet[64:104, 12 + 72 * column : 72 + 72 * column] == colours[column]).all()
    assert (sheet[-52:-12, 12:72] == colours[4]).all()
    assert (sheet[-52:-12, 84:] == 255).all()


def test_the_sheet_shows_input_output_and_truth_side_by_side(tmp_path):
    (tmp_path / "sheet.png").write_bytes(plots.photos([example("one"), example("two", 800, 400)]))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[1] == 12 + 3 * (400 + 12)
    for left, colour in zip((12, 424, 836), np.eye(3, dtype=int) * 255, strict=True):
        assert (sheet[64:304, left : left + 360] == colour).all()  # six times as large
        assert (sheet[-212:-12, left : left + 400] == colour).all()  # half as large


def test_a_file_that_cannot_be_written_is_told_in_one_line_and_leaves_the_old_one(tmp_path, monkeypatch):
    write(tmp_path / "s")
    before = contents(tmp_path / "s")

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"Received: .*images\.csv \(No space left on device\)\. Give --statistics"):
        write(tmp_path / "s", psnr=25.0)
    assert contents(tmp_path / "s") == before
