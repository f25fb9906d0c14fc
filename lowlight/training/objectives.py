"""What learns of a model, in which precision, and by which losses."""

from lowlight.backend import devices, keras
from lowlight.training.losses import LOSSES, brightness, exposure_mae, mae, mse, of_exposure
from lowlight.training.validation import psnr
from lowlight.zoo.recipes import Recipe

EXPOSURE = "exposure"
"""The part of a global-local model that predicts how bright a photo should be; it can be trained for itself."""

RESTORATION = "restoration"
"""All the rest of it: the base and its denoising, for a given target exposure."""

OUTPUT_WEIGHTS = {"output": 1.0, "base": 0.2, "guess": 0.05, "right": 0.05}
"""What the losses of a global-local model count: the base carries the brightness, so that the target is met.

The predicted exposure (`guess`) is judged half behind the identity gate, and half before it (`right`): the first alone
forgets what noise hides, the second alone does too little for what is a stop too dark.
"""


def precision(mixed: bool) -> str:
    """Name of the dtype policy to train by: half precision, if `mixed`, as the device has it."""
    return ("mixed_float16" if devices("gpu") else "mixed_bfloat16") if mixed else "float32"


def part_of(model: keras.Model, part: str | None) -> keras.Model:
    """What is trained of a model, as a model of the same layers: all of it, or a part.

    `EXPOSURE` needs the overview alone, and `RESTORATION` does without it.
    """
    if part is None:
        return model
    inputs = {name: tensor for name, tensor in model.input.items() if (name == "overview") == (part == EXPOSURE)}
    names = ("guess", "right") if part == EXPOSURE else ("output", "base")
    return keras.Model(inputs, {name: model.output[name] for name in names})


def compiled(plan: Recipe, model: keras.Model, part: str | None) -> keras.Model:
    """The model with optimizer, losses and metrics as its recipe says; it is compiled in place.

    Parameters
    ----------
    plan : Recipe
    model : keras.Model
        By `part_of`.
    part : {"exposure", "restoration"} or None
        Which part it is.
    """
    decay = plan.weight_decay or None
    optimizer = keras.optimizers.Adam(plan.learning_rate, weight_decay=decay, clipnorm=plan.clip)
    if any(layer.compute_dtype == "float16" for layer in model.layers):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)  # else small gradients would vanish
    scores, loss = [psnr, mae, mse], LOSSES[plan.loss]
    losses = {"output": loss, "base": brightness, "guess": exposure_mae, "right": exposure_mae}
    asked = {"loss": loss, "metrics": scores}
    if part == EXPOSURE:
        asked = {"loss": {"guess": of_exposure, "right": of_exposure}, "loss_weights": {"guess": 0.5, "right": 0.5}}
    elif isinstance(model.output, dict):
        asked = {
            "loss": {name: function for name, function in losses.items() if name in model.output},
            "loss_weights": {name: weight for name, weight in OUTPUT_WEIGHTS.items() if name in model.output},
            "metrics": {"output": scores},
        }
    # XLA was measured slower with TensorFlow on a CPU.
    model.compile(optimizer, jit_compile=keras.backend.backend() == "jax", **asked)
    model.optimizer.build(model.trainable_variables)
    return model
