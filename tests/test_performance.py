"""What is measured and written where by the performance scripts; the models are stand-ins."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import lowlight.benchmark.breakdown  # before a stand-in is where it looks for the enhancer
import lowlight.inference
from lowlight.benchmark import held_out, plots, report
from lowlight.benchmark.rows import merged_rows
from lowlight.benchmark.run import choose_examples, measure_models, perform, summarise
from lowlight.data import pairs
from lowlight.data.pairs import Split
from lowlight.errors import UserError
from lowlight.metrics.evaluate import BASELINES, UNTOUCHED, evaluate
from lowlight.settings import PerformanceSettings
from lowlight.zoo import registry
from tests.conftest import make_pair, write_shots


def test_best_median_and_worst_are_chosen_by_psnr(grey_pairs):
    rows = evaluate(BASELINES["untouched input"], grey_pairs)
    best, median, worst = choose_examples("validation", "model_10", BASELINES["untouched input"], grey_pairs, rows)
    assert best.title == "validation, best: photo p1"
    assert median.title == "validation, median: photo p2"
    assert worst.title == "validation, worst: photo p3"
    assert best.captions[0] == "input  13.98 dB"
    assert [int(photo[0, 0, 0]) for photo in worst.photos] == [20, 20, 173]


@pytest.mark.parametrize(("count", "titles"), [(1, ["best"]), (2, ["best", "worst"])])
def test_few_photos_are_each_shown_once(grey_pairs, count, titles):
    rows = evaluate(BASELINES["untouched input"], grey_pairs[:count])
    name = "my model with residual blocks (colab, third try, November 2026)"
    examples = choose_examples("test", name, BASELINES["untouched input"], grey_pairs[:count], rows)
    assert [example.title.split()[1].strip(":") for example in examples] == titles
    assert plots._font("DejaVuSans.ttf", 15).getlength(examples[0].captions[1]) <= 412  # or it would cover the next


CARD = {
    "name": "model_10",
    "generation": "latest",
    "idea": "Everything.",
    "parameters": 1234,
    "recipe": {"loss": "mae", "number": 10},
    "weights": {"file": "model_10.weights.h5", "sha256": "ab", "bytes": 1},
    "versions": {"keras": "3.15.1"},
}


def card_for(split):
    """A card that says its model was trained on a split."""
    counts = {part: len(getattr(split, part)) for part in ("train", "val", "test")}
    return CARD | {"data": {"name": "LOL v1", "split": split.source} | counts}


@pytest.fixture
def split(tmp_path, grey_pairs):
    """One train, two val and one test pair, the last in eval15."""
    test = make_pair(tmp_path / "eval15", "t", 20, 71)
    return Split(grey_pairs[:1], grey_pairs[1:], (test,), "split.json of the data folder")


COST = {"macs_per_pixel": 100, "seconds_per_megapixel": 0.123, "machine": "here"}


@pytest.fixture
def zoo(tmp_path, split, monkeypatch):
    """A zoo with one model, which adds 0.4, so that TensorFlow is not needed; keeps what is written of it: nothing."""
    models = tmp_path / "models"
    fake = SimpleNamespace(written=[], timed=[], card=card_for(split), WEIGHTS_SUFFIX=".weights.h5", MODELS=models)
    fake.write_manifest = lambda: fake.written.append("manifest")
    fake.files_of = lambda model: (fake.card | {"name": str(model)}, models / f"{model}.weights.h5")
    fake.build = lambda card, weights: ("network", card)
    fake.versions = lambda: {"keras": "3.14.0"}
    fake.write_card = lambda path, card: fake.written.append((path, card))
    cost = SimpleNamespace(
        macs_per_pixel=lambda network: 100,
        seconds_per_megapixel=lambda methods: fake.timed.append(list(methods)) or dict.fromkeys(methods, 0.12345),
    )
    enhance = SimpleNamespace(Enhancer=lambda network: lambda photo: photo + np.float32(0.4))
    for room, name, module in ((lowlight.benchmark, "cost", cost), (lowlight.inference, "enhancer", enhance)):
        monkeypatch.setitem(sys.modules, f"{room.__name__}.{name}", module)
        monkeypatch.setattr(room, name, module, raising=False)
    monkeypatch.setattr("lowlight.benchmark.run.machine", lambda: "here")
    monkeypatch.setattr("lowlight.benchmark.run.registry", fake)
    return fake


def test_measuring_gives_model_and_baselines_on_both_parts_and_leaves_the_model_as_it_is(tmp_path, split, zoo, capsys):
    (summary,) = measure_models(["model_10"], split, tmp_path / "statistics")
    # Val is p2, met exactly (100 dB in the mean), and p3, off by 0.2: 13.9794 dB; the test photo is off by 0.2.
    assert summary["scores"]["val"]["model_10"]["psnr"] == pytest.approx((100 + 13.9794) / 2, abs=1e-4)
    assert summary["scores"]["test"]["model_10"]["psnr"] == pytest.approx(13.9794, abs=1e-4)
    assert set(summary["scores"]["val"]) == {"model_10", *BASELINES}
    assert zoo.written == []
    assert not (tmp_path / "models").exists()
    printed = capsys.readouterr().out
    assert "13.98" in printed
    assert "histogram equalisation" in printed
    assert (tmp_path / "statistics" / "model_10" / "summary.json").is_file()


@pytest.mark.usefixtures("blank_plots")
def test_several_models_are_timed_together_and_only_once(tmp_path, split, zoo):
    measure_models(["model_08"], split, tmp_path / "statistics")
    both = measure_models(["model_08", "model_09"], split, tmp_path / "statistics")
    again = measure_models(["model_08", "model_09"], split, tmp_path / "statistics")
    assert zoo.timed == [["model_08"], ["model_08", "model_09"]]
    assert again == both
    assert both[0]["cost"] == COST
    text = (tmp_path / "statistics" / "README.md").read_text()
    assert "[model_08](model_08/)" in text
    assert "[model_09](model_09/)" in text


def test_what_all_models_share_is_drawn_once(tmp_path, split, zoo, monkeypatch):
    drawn = []
    for name in ("metric", "bars", "cost", "photos"):
        monkeypatch.setattr(f"lowlight.benchmark.plots.{name}", lambda *facts, name=name: drawn.append(name) or b"")
    measure_models(["model_08", "model_09", "model_10"], split, tmp_path / "statistics")
    assert {name: drawn.count(name) for name in drawn} == {"metric": 9, "photos": 3, "bars": 3, "cost": 1}


@pytest.mark.usefixtures("blank_plots")
def test_pairs_that_were_trained_on_are_not_checked_again_to_measure(pairs_folder, tmp_path, zoo, monkeypatch):
    checked = []
    check = pairs.check
    monkeypatch.setattr(pairs, "check", lambda found, *how: checked.append(len(found)) or check(found, *how))
    trained = []
    trainer = SimpleNamespace(train=lambda settings, generation, pairs: trained.append(pairs[0]) or "model_10")
    monkeypatch.setitem(sys.modules, "lowlight.training.trainer", trainer)
    settings = PerformanceSettings(model=10, data=str(pairs_folder), statistics=tmp_path / "statistics")
    (summary,) = perform(settings, "latest")
    assert checked == [8]
    assert summary["split"]["val"] == len(trained[0].val)


@pytest.mark.usefixtures("blank_plots")
def test_the_history_of_the_training_comes_from_the_run_or_from_models(tmp_path, split, zoo):
    columns = [f"{part}{key}" for part in ("", "val_") for key in ("loss", "psnr", "mae", "mse")]
    content = f"epoch,{','.join(columns)}\n1{',2' * len(columns)}\n"
    for name in ("model_10.history.csv", "history.csv"):
        folder = tmp_path / "statistics of" / name
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / name).write_text(content)
        measure_models(["model_10"], split, folder)
        assert (folder / "model_10" / "history.csv").read_text() == content
        assert (folder / "model_10" / "loss.png").is_file()
        (tmp_path / "models" / name).unlink()


@pytest.mark.usefixtures("blank_plots")
def test_that_the_report_of_another_run_of_a_model_is_written_over_is_told(tmp_path, split, zoo, news):
    told = "model_10 told of other weights, and is written over; --statistics DIR keeps both"
    for sha256, times in (("ab", 0), ("ab", 0), ("cd", 1)):
        zoo.card = zoo.card | {"weights": CARD["weights"] | {"sha256": sha256}}
        measure_models(["model_10"], split, tmp_path / "statistics")
        assert news.text.count(told) == times


@pytest.mark.usefixtures("blank_plots")
def test_times_of_another_machine_are_not_kept(tmp_path, split, zoo, monkeypatch):
    measure_models(["model_10"], split, tmp_path / "statistics")
    monkeypatch.setattr("lowlight.benchmark.run.machine", lambda: "elsewhere")
    (summary,) = measure_models(["model_10"], split, tmp_path / "statistics")
    assert len(zoo.timed) == 2
    assert summary["cost"]["machine"] == "elsewhere"


@pytest.mark.usefixtures("blank_plots")
def test_an_empty_part_has_no_rows(tmp_path, split, zoo):
    without_test = Split(split.train, split.val, (), split.source)
    (summary,) = measure_models(["model_10"], without_test, tmp_path / "statistics")
    assert list(summary["scores"]) == ["val"]
    with pytest.raises(UserError, match="Received: empty val and test"):
        measure_models(["model_10"], Split(split.train, (), (), "x"), tmp_path / "statistics")


@pytest.mark.usefixtures("blank_plots")
@pytest.mark.parametrize("learnt", [{}, {"validation": {"psnr": 12.34}}, {"has_seen_validation": True}])
def test_a_model_measured_on_other_pairs_is_said_to_be_so_whatever_it_learnt_from(tmp_path, split, zoo, learnt):
    zoo.card |= learnt
    elsewhere = Split((), split.val, (), "scenes found automatically")
    (summary,) = measure_models(["model_10"], elsewhere, tmp_path / "statistics")
    assert not summary["trained_on_this_split"]
    assert summary["notes"] == ["model_10 was trained on other pairs (LOL v1): it may have seen some of these."]
    assert summary["scores"]["val"]["model_10"]["psnr"] == pytest.approx((100 + 13.9794) / 2, abs=1e-4)
    assert zoo.written == []


@pytest.mark.usefixtures("blank_plots")
def test_a_model_that_learnt_from_all_pairs_keeps_the_scores_it_had_on_validation(tmp_path, split, zoo):
    before = measure_models(["model_10"], split, tmp_path / "before")[0]["scores"]["val"]["model_10"]
    known = before | {"psnr": 12.34}
    data = {"train": len(split.train) + len(split.val), "val": 0}
    zoo.card |= {"data": zoo.card["data"] | data, "validation": known}
    (summary,) = measure_models(["model_10"], split, tmp_path / "statistics")
    assert summary["scores"]["val"]["model_10"] == known
    assert summary["scores"]["test"]["model_10"]["psnr"] == pytest.approx(13.9794, abs=1e-4)
    assert "went on with the validation pairs" in summary["notes"][0]
    assert summary["trained_on_this_split"]
    assert "val" not in (tmp_path / "statistics" / "model_10" / "images.csv").read_text()
    with pytest.raises(UserError, match="Received: no test pairs"):
        measure_models(["model_10"], Split(split.train, split.val, (), split.source), tmp_path / "statistics")


@pytest.mark.usefixtures("blank_plots")
def test_a_model_that_started_from_one_of_all_pairs_is_said_to_have_seen_them(tmp_path, split, zoo):
    zoo.card |= {"has_seen_validation": True}
    (summary,) = measure_models(["model_10"], split, tmp_path / "statistics")
    assert "went on with validation pairs: it may have seen" in summary["notes"][0]
    assert zoo.written == []


@pytest.mark.usefixtures("blank_plots")
def test_a_model_from_elsewhere_may_have_seen_the_photos(tmp_path, split, zoo):
    data = {"name": "not known", "split": None}
    zoo.card = CARD | {"recipe": {}, "data": data, "generation": None, "versions": {}}
    (summary,) = measure_models(["name(colab)"], split, tmp_path / "statistics")
    assert summary["notes"][0] == "name(colab) was trained on other pairs (not known): it may have seen some of these."
    assert zoo.written == []
    assert "[name(colab)](name%28colab%29/)" in (tmp_path / "statistics" / "README.md").read_text()


def test_only_eval15_is_said_to_have_near_twins(split):
    rows = {"val": {"untouched input": evaluate(BASELINES["untouched input"], split.val)}}
    (note,) = summarise(card_for(split), split, rows, COST, {})["notes"]
    assert "14 of its 15 scenes have a near twin in our485" in note
    own = Split(split.train, split.val, split.val[:1], split.source)
    assert summarise(card_for(own), own, rows, COST, {})["notes"] == []


def test_statistics_that_cannot_be_written_are_told_before_the_work(tmp_path, split, zoo, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("lowlight.benchmark.run.evaluate", lambda *a, **k: pytest.fail("measured first"))
    with pytest.raises(UserError, match=r"Received: .*file.*--statistics"):
        measure_models(["model_10"], split, tmp_path / "file")


def test_statistics_that_cannot_be_written_are_told_before_the_training(pairs_folder, tmp_path, zoo, monkeypatch):
    monkeypatch.setattr("lowlight.training.trainer.train", lambda *_, **__: pytest.fail("trained"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="--statistics another folder"):
        perform(PerformanceSettings(10, str(pairs_folder), epochs=1, statistics=tmp_path / "file"), "latest")


def test_settings_that_do_not_go_together_are_refused(zoo):
    with pytest.raises(UserError, match="only with --evaluate-only. Received: --weights here"):
        perform(PerformanceSettings(model=10, weights=Path("here")), "latest")
    for more in ({}, {"evaluate_only": True, "model": 10}):
        with pytest.raises(UserError, match="All models are only measured"):
            perform(PerformanceSettings(all=True, **more), "latest")
    with pytest.raises(UserError, match="No model was named. Give --model N"):
        perform(PerformanceSettings(evaluate_only=True), "latest")
    with pytest.raises(UserError, match=r"Model 2 is of the old generation"):
        perform(PerformanceSettings(model=2, evaluate_only=True), "latest")


def test_that_a_run_of_the_model_is_not_what_is_measured_is_told(tmp_path, zoo, monkeypatch, caplog, pairs_folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lowlight.benchmark.run.measure_models", lambda *_: [])
    zoo.files_of, zoo.facts_of = lambda model: (zoo.card, None), registry.facts_of
    settings = PerformanceSettings(10, str(pairs_folder), evaluate_only=True)
    perform(settings, "latest")
    (run := Path("runs", "model_10")).mkdir(parents=True)
    own = run / "model_10.weights.h5"
    own.write_bytes(b"mine")
    zoo.card["weights"] = registry.facts_of(own)
    perform(settings, "latest")
    assert "in place of" not in caplog.text
    own.write_bytes(b"trained further")
    perform(settings, "latest")
    assert f"--weights {run} in place of --model measures your run" in caplog.text


def test_measuring_is_for_one_process(zoo, monkeypatch, pairs_folder):
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(UserError, match="Several processes train, one measures"):
        perform(PerformanceSettings(model=10, data=str(pairs_folder), devices="all"), "latest")


@pytest.fixture
def held_out_of(pairs_folder):
    """The pairs as a folder for --also: two of the eight are held out."""
    rows = [f"low/photo{seed}.png,high/photo{seed}.png" for seed in range(8)]
    (pairs_folder / "pairs.csv").write_text("\n".join(["low,high", *rows]))
    return pairs_folder


def measure_on_sets(tmp_path, folder, weights, **sets):
    """Rows of held_out.csv, by set and method, after weights were measured."""
    statistics = tmp_path / "statistics"
    settings = PerformanceSettings(
        weights=Path(weights), data=str(folder), evaluate_only=True, statistics=statistics, **sets
    )
    perform(settings, "latest")
    return {(row["set"], row["method"]): row for row in report.read_sets(statistics / report.HELD_OUT)}


@pytest.mark.usefixtures("blank_plots")
def test_weights_that_are_named_are_measured_on_held_out_sets_and_what_is_known_stays(tmp_path, zoo, held_out_of):
    first = measure_on_sets(tmp_path, held_out_of, "theirs", also=(held_out_of,))
    assert first["pairs, held out", "theirs"]["photos"] == 2
    assert first["pairs, held out", "theirs"]["psnr"] > first["pairs, held out", "untouched input"]["psnr"]
    both = measure_on_sets(tmp_path, held_out_of, "mine", also=(held_out_of,))
    assert {key: both[key] for key in first} == first
    assert both.keys() - first.keys() == {(name, "mine") for name, _ in first}
    shots = write_shots(tmp_path / "shots" / "pairs")
    more = measure_on_sets(tmp_path, held_out_of, "mine", unseen=(held_out_of,), noisy=(shots,))
    assert more["pairs, unseen", "mine"]["photos"] == more["pairs, real noise", "mine"]["photos"] == 8
    assert {key: more[key] for key in both if "left alone" not in key[0]} == {
        key: row for key, row in both.items() if "left alone" not in key[0]
    }


@pytest.mark.usefixtures("blank_plots")
def test_rows_that_another_process_writes_meanwhile_stay_if_its_photos_are_the_same(
    tmp_path, zoo, held_out_of, monkeypatch
):
    def score(*facts):
        rows = score_sets(*facts)
        others = [row | {"method": "other", "weights": "cd"} for row in rows if row["method"] == "mine"]
        others[-1]["set"] = "elsewhere"
        report.write_sets(tmp_path / "statistics" / report.HELD_OUT, [*rows, *others])
        return rows

    score_sets = held_out.score_sets
    monkeypatch.setattr(held_out, "score_sets", score)
    found = measure_on_sets(tmp_path, held_out_of, "mine", also=(held_out_of,))
    sets = [name for name, method in found if method == "mine"]
    assert [name for name, method in found if method == "other"] == [*sets[:-1], "elsewhere"]


def test_rows_of_other_photos_do_not_stay_beside_those_of_a_set():
    known, scored = (
        [
            {"set": "one", "method": UNTOUCHED, "weights": "", "psnr": psnr},
            {"set": "one", "method": name, "weights": "a"},
        ]
        for psnr, name in ((8.0, "theirs"), (9.0, "mine"))
    )
    assert merged_rows(known, scored) == scored
    assert merged_rows([scored[0], known[1]], scored) == [*scored, known[1]]


@pytest.mark.usefixtures("blank_plots")
def test_rows_of_earlier_weights_of_a_model_do_not_stay(tmp_path, zoo, held_out_of):
    measure_on_sets(tmp_path, held_out_of, "mine", also=(held_out_of,))
    zoo.card |= {"weights": {"sha256": "new"}}
    found = measure_on_sets(tmp_path, held_out_of, "mine", unseen=(held_out_of,))
    assert ("pairs, held out", "untouched input") in found
    assert ("pairs, held out", "mine") not in found
    assert found["pairs, unseen", "mine"]["weights"] == "new"


@pytest.mark.usefixtures("blank_plots")
@pytest.mark.parametrize(("number", "broken_down"), [(8, False), (10, True)])
def test_only_late_models_are_broken_down(tmp_path, zoo, held_out_of, number, broken_down):
    zoo.card |= {"recipe": {"loss": "mae", "number": number}}
    measure_on_sets(tmp_path, held_out_of, "mine", also=(held_out_of,))
    assert (tmp_path / "statistics" / report.BREAKDOWN).is_file() == broken_down


def test_sets_that_are_not_there_or_were_learnt_from_are_told_before_the_work(tmp_path, zoo, pairs_folder, monkeypatch):
    monkeypatch.setattr("lowlight.benchmark.run.evaluate", lambda *a, **k: pytest.fail("measured first"))
    for missing in ({"also": (tmp_path / "none",)}, {"clean": (tmp_path / "none",)}, {"unseen": (tmp_path / "none",)}):
        with pytest.raises(UserError, match="none"):
            measure_on_sets(tmp_path, pairs_folder, "mine", **missing)
    zoo.card |= {"data": zoo.card["data"] | {"name": "own pairs, pairs"}}
    with pytest.raises(UserError, match="of which mine learnt all, by its card"):
        measure_on_sets(tmp_path, pairs_folder, "mine", unseen=(pairs_folder,))


@pytest.mark.parametrize("kind", ["unseen", "noisy"])
def test_unseen_sets_are_for_all_models_or_weights_that_are_named(zoo, kind):
    with pytest.raises(UserError, match="Give --all or --weights with --unseen"):
        perform(PerformanceSettings(model=10, evaluate_only=True, **{kind: (Path("there"),)}), "latest")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"epochs": 3, "learning_rate": 1.0}, "--epochs, --learning-rate"),
        ({"minutes": 1.0, "mixed_precision": True}, "--minutes, --mixed-precision"),
        ({"resume": True}, "--resume"),
        ({"preset": "h100", "batch_scale": 8, "devices": "all"}, "--batch-scale, --devices, --preset"),
        ({"output": Path("there")}, "--output"),
        ({"clean": (Path("there"),)}, "--clean"),
        ({"data": "synthetic", "also": (Path("there"),)}, "--also"),
        ({"weights": Path("there")}, "--model"),
    ],
)
def test_options_that_would_change_nothing_are_refused(zoo, options, named):
    settings = PerformanceSettings(model=10, evaluate_only=True, **options)
    with pytest.raises(UserError, match=f"nothing is trained. Received: {named}, which would change nothing"):
        perform(settings, "latest")
