"""How long a training step of model 12 takes on this machine: as it is, compiled by XLA, several in one execution.

    python benchmarks/step.py
    python benchmarks/step.py --mixed-precision
    TF_ENABLE_ONEDNN_OPTS=0 python benchmarks/step.py            # as TensorFlow computes by default with AVX2 alone

Restoration learns from one batch, which is there already. Each way is measured in turn, again and again; the fastest
round counts. Seconds of the processor are those of all its cores, and say nothing of a GPU.
"""

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lowlight.system import machine, run, train_by_onednn  # noqa: E402

train_by_onednn()

from lowlight.backend import keras  # noqa: E402
from lowlight.cli.parse import parse  # noqa: E402
from lowlight.networks import architectures  # noqa: E402
from lowlight.training.objectives import RESTORATION, compiled, part_of, precision  # noqa: E402
from lowlight.zoo.recipes import recipe  # noqa: E402

PLAN = recipe(12)

WAYS = {
    "one step an execution": (1, False),
    "8 steps an execution": (8, False),
    "XLA, one step an execution": (1, True),
    "XLA, 8 steps an execution": (8, True),
}
"""Steps an execution, and whether XLA compiles them."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the bench."""

    steps: int = 16
    """Steps of a round; a multiple of 8."""
    rounds: int = 3
    """Of each way."""
    mixed_precision: bool = False
    """Compute in half precision where that is safe."""


class OneBatch(keras.utils.PyDataset):
    """The same random batch for every step."""

    def __init__(self, model, steps):
        super().__init__()
        rng = np.random.default_rng(0)

        def fill(tensor):
            shape = [PLAN.batch_size, *(PLAN.crop if side is None else side for side in tensor.shape[1:])]
            return rng.random(shape, np.float32)

        self.batch = tuple({name: fill(tensor) for name, tensor in of.items()} for of in (model.input, model.output))
        self.steps = steps

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        return self.batch


def main() -> int:
    settings = parse(Settings, __doc__, command=None)
    models = {name: _model(*way, settings.mixed_precision) for name, way in WAYS.items()}
    first = {name: _round(model, 8)[0] for name, model in models.items()}
    rounds = [{name: _round(model, settings.steps) for name, model in models.items()} for _ in range(settings.rounds)]
    print(f"{machine()}; batches of {PLAN.batch_size} crops of {PLAN.crop} pixels\n")
    print("| | a step, ms | of the processor, ms | the first 8 steps, s |")
    print("|---|---:|---:|---:|")
    for name in WAYS:
        seconds, worked = (1000 * min(of) / settings.steps for of in zip(*(took[name] for took in rounds), strict=True))
        print(f"| {name} | {seconds:.0f} | {worked:.0f} | {first[name]:.0f} |")
    return 0


def _model(steps, by_xla, mixed_precision) -> keras.Model:
    whole = architectures.build(PLAN.architecture, precision(mixed_precision), **PLAN.settings)
    model = compiled(PLAN, part_of(whole, RESTORATION), RESTORATION)
    model.steps_per_execution, model.jit_compile = steps, by_xla
    return model


def _round(model, steps) -> tuple[float, float]:
    """Seconds, and those that the processor worked."""
    start = time.monotonic(), time.process_time()
    model.fit(OneBatch(model, steps), verbose=0, shuffle=False)
    return time.monotonic() - start[0], time.process_time() - start[1]


if __name__ == "__main__":
    sys.exit(run(main))
