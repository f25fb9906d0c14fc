"""Many workers: two nodes of Ray on this machine, one of them killed, and a bucket of a local S3."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from tests.conftest import ROOT, scene

pytest.importorskip("ray", reason="Ray is not installed")
s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")

from lowlight import commands  # noqa: E402
from lowlight.cli.pipeline import Task  # noqa: E402
from lowlight.cluster import run  # noqa: E402
from lowlight.cluster.run import enhance_all  # noqa: E402
from lowlight.cluster.settings import ClusterSettings  # noqa: E402
from lowlight.cluster.storage import Storage  # noqa: E402
from lowlight.cluster.worker import Item, Worker  # noqa: E402
from lowlight.controls import Controls  # noqa: E402
from lowlight.errors import UserError  # noqa: E402

PATIENCE = 60
"""Seconds until a server that does not start is given up."""


class Nodes:
    """What `tests/two_nodes.py` does in its process."""

    def __init__(self, environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.two_nodes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        assert self.process.stdout.readline() == "ready\n"

    def enhance(self, source, goal, stand_in=True, kill_at=0, **settings):
        """The answer to a run."""
        asked = {"settings": {"input": str(source), "output": str(goal), **settings}, "stand_in": stand_in}
        print(json.dumps(asked | {"kill_at": kill_at}), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self):
        """Shut the cluster down."""
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def answers(port) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def s3():
    """A local S3, as a file system with a bucket called archive; the environment tells of it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        end = time.monotonic() + PATIENCE
        while not answers(port):
            assert time.monotonic() < end
            time.sleep(0.1)
        files = s3fs.S3FileSystem()
        files.mkdir("archive")
        yield files
    server.terminate()
    server.wait(PATIENCE)


@pytest.fixture(scope="module")
def nodes(s3):
    """The cluster."""
    two = Nodes(dict(os.environ))
    yield two
    two.close()


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def dark(seed):
    return scene(seed, 30, 50) // 8


def records(folder):
    (file,) = Path(folder, "records").iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.slow
def test_results_are_those_of_one_machine_to_the_byte(nodes, tmp_path):
    for seed in range(4):
        save(tmp_path / "in" / f"{seed % 2}" / f"{seed}.jpg", dark(seed))
    two = [Image.fromarray(dark(seed)) for seed in (4, 5)]
    two[0].save(tmp_path / "in" / "two.tif", save_all=True, append_images=two[1:])
    answer = nodes.enhance(tmp_path / "in", tmp_path / "out", stand_in=False, workers=1, engine="onnx")
    assert answer["status"] == 0, answer
    told = {Path(record["in"]).name: record["notes"] for record in records(tmp_path / "out")}
    assert [name for name, notes in told.items() if notes] == ["two.tif"]
    assert "it holds 2 pictures" in told["two.tif"][0]
    options = ["--recursive", "--quiet", "--engine", "onnx"]
    alone = [sys.executable, "main.py", tmp_path / "in", "-o", tmp_path / "alone", *options]
    subprocess.run(alone, cwd=ROOT, check=True)
    for seed in range(4):
        name = f"{seed % 2}/{seed}.jpg"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_what_the_system_refuses_is_told_with_the_photos_name(tmp_path):
    worker = Worker.__new__(Worker)
    worker.source, worker.goal, worker.name = Storage(f"{tmp_path}/in"), Storage(f"{tmp_path}/out"), "here"
    worker.attempts = SimpleNamespace(end=SimpleNamespace(remote=id))
    task = Task(Item("0.png", "0.png"), error=OSError(errno.ENOSPC, "No space left on device"))
    record = worker._record(task)
    assert (record["status"], record["reason"]) == ("failed", f"{tmp_path}/in/0.png: No space left on device.")


@pytest.mark.slow
def test_a_photo_that_ends_its_worker_is_given_up_and_takes_no_other_with_it(nodes, tmp_path):
    for seed in range(12):
        save(tmp_path / "in" / f"{seed}.png", dark(seed))
    deadly = dark(5)
    deadly[0, 0] = 255
    save(tmp_path / "in" / "5.png", deadly)
    (tmp_path / "in" / "6.png").write_text("no photo")
    answer = nodes.enhance(tmp_path / "in", tmp_path / "out", records=str(tmp_path / "told.parquet"))
    assert answer["status"] == 1, answer
    told = {
        Path(record["in"]).name: record for record in pyarrow.parquet.read_table(tmp_path / "told.parquet").to_pylist()
    }
    assert len(told) == 12
    assert {name for name, record in told.items() if record["status"] == "failed"} == {"5.png", "6.png"}
    assert "3 workers were lost at it" in told["5.png"]["reason"]
    assert "not a photo" in told["6.png"]["reason"]
    assert len(list((tmp_path / "out").glob("*.png"))) == 10


@pytest.mark.slow
def test_a_model_that_no_worker_can_load_ends_the_run_with_its_own_words(nodes, tmp_path):
    save(tmp_path / "in" / "0.png", dark(0))
    answer = nodes.enhance(tmp_path / "in", tmp_path / "out", model="1")
    assert answer.get("error") == "Model 1 cannot be doubled. Choose another.", answer


@pytest.mark.slow
def test_a_killed_node_loses_no_photo_of_a_bucket(nodes, s3, tmp_path):
    for seed in range(120):
        save(tmp_path / "in" / f"{seed}.png", dark(seed))
    s3.put(str(tmp_path / "in"), "archive/in", recursive=True)
    answer = nodes.enhance(
        "s3://archive/in", "s3://archive/out", kill_at=30, records=str(tmp_path / "records" / "a.jsonl")
    )
    assert (answer["status"], answer["nodes"]) == (0, 1), answer
    told = records(tmp_path)
    assert sorted(record["in"] for record in told) == sorted(f"s3://archive/in/{seed}.png" for seed in range(120))
    assert {record["status"] for record in told} == {"done"}
    for seed in range(120):
        with s3.open(f"archive/out/{seed}.png") as file:
            np.testing.assert_array_equal(np.asarray(Image.open(file)), dark(seed) * 2)
    before = s3.info("archive/out/7.png")["LastModified"]
    s3.rm("archive/out/8.png")
    assert (
        nodes.enhance("s3://archive/in", "s3://archive/out", records=str(tmp_path / "records" / "a.jsonl"))["status"]
        == 0
    )
    assert [record["in"] for record in records(tmp_path) if record["status"] == "done"] == ["s3://archive/in/8.png"]
    s3.invalidate_cache()
    assert s3.info("archive/out/7.png")["LastModified"] == before


REFUSED = {
    "no photos": ({"input": "nowhere"}, "no photos to enhance"),
    "a photo": ({"input": "in/a.png"}, "Received: in/a.png. Check its name: it must be a folder"),
    "no such protocol": ({"input": "ftps3://a/b"}, "cannot be reached"),
    "over the photos": ({"output": "in"}, "Results would be written over photos"),
    "two of one name": ({"format": "png", "input": "same"}, "Received: a.jpg, a.jpg.png"),
    "no such format": ({"format": "xyz"}, "Known: "),
    "records of another kind": ({"records": "a.txt"}, "Records are .jsonl or .parquet"),
    "a folder in names": ({"suffix": "a/b"}, "can be no folder"),
    "quality of what loses nothing": ({"quality": 90, "format": "png"}, "lose nothing"),
    "no such model": ({"model": "99"}, "99"),
    "too little memory": ({"memory": 1}, "more than 1.5 GB"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused_before_ray_is_started(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("in/a.png"), dark(0))
    save(Path("in/a.jpg"), dark(1))
    for name in ("a.jpg", "a.png", "a.jpg.png"):
        save(Path("same", name), dark(2))
    changes, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        enhance_all(ClusterSettings(**{"input": "in", "output": "out", **changes}))
    assert {path.parent.name for path in tmp_path.rglob("*") if path.is_file()} == {"in", "same"}


def test_runs_that_begin_in_the_same_second_write_records_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(run.time, "strftime", lambda *facts: "20260101T000000Z")
    settings = ClusterSettings("in", str(tmp_path))
    for name in ("one", "two"):
        with run._records(settings, run.Storage(settings.output)) as (write, where):
            write(pyarrow.table({"in": [name]}))
        assert Path(where).parent == tmp_path / "records"
    told = [path.read_text() for path in (tmp_path / "records").iterdir()]
    assert sorted(told) == ['{"in": "one"}\n', '{"in": "two"}\n']


def test_what_machines_give_is_told_in_the_units_of_the_options_where_no_worker_fits(monkeypatch):
    node = {"Alive": True, "Resources": {"CPU": 2.0, "memory": 8.46e8, "node:192.0.2.2": 1.0}}
    monkeypatch.setattr(run.ray, "nodes", lambda: [node])
    with pytest.raises(UserError, match=r"--memory 3, and machines that give .* 2 cores, 0 GPUs and 0\.8 GB\."):
        run._most_workers(ClusterSettings("in", "out"))


def test_ray_leaves_signals_alone_and_its_workers_their_share_of_a_busy_machine(monkeypatch):
    def init(address, **options):
        found.append(os.environ[name])
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    found, name = [], "RAY_worker_niceness"
    monkeypatch.setattr(run.ray, "init", init)
    monkeypatch.setenv(name, "")  # so that it is as before in the end
    monkeypatch.delenv(name)
    before = signal.getsignal(signal.SIGTERM)
    run._connect(ClusterSettings("in", "out"))
    assert found == ["0"]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("words", [["--engine", "ray"], ["--engine=ray"]])
def test_engine_ray_means_the_cluster_and_its_options(words, monkeypatch):
    told = []
    monkeypatch.setitem(commands.COMMANDS, "cluster", commands.COMMANDS["cluster"]._replace(run=told.append))
    commands.dispatch(["s3://a/b", *words, "-o", "gs://c", "--address", "auto", "--denoise", "0.5"], "")
    commands.dispatch(["cluster", "s3://a/b", "-o", "gs://c", "--address", "auto", "--denoise", "0.5"], "")
    assert told[0] == told[1] == ClusterSettings("s3://a/b", "gs://c", address="auto", controls=Controls(denoise=0.5))


@pytest.mark.parametrize("package", ["ray", "pyarrow", "fsspec"])
def test_without_its_packages_the_command_names_what_to_install(package):
    code = f"import sys; sys.modules['{package}'] = None; sys.argv = ['lowlight', 'a', '-o', 'b', '--engine', 'ray']\n"
    code += "from lowlight.__main__ import main\nsys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(f"no {package}. Install it by: pip install '{ROOT}[cluster]'")
    assert done.stderr.count("\n") == 1
