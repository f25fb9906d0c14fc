"""A model in LiteRT, without this project: python litert_photo.py model_12.tflite night.png bright.png"""

import sys

import numpy as np
import tensorflow as tf
from PIL import Image

model = tf.lite.Interpreter(sys.argv[1])  # or, without TensorFlow, that of ai_edge_litert.interpreter
photo = np.asarray(Image.open(sys.argv[2]).convert("RGB"), np.float32) / 255
height, width = photo.shape[:2]
crossed = np.abs(photo[1:, 1:] - photo[1:, :-1] - photo[:-1, 1:] + photo[:-1, :-1]).mean(axis=2) / 2
planes = [*np.moveaxis(photo, 2, 0), photo.max(axis=2) ** 8, np.pad(crossed, ((0, 1), (0, 1)))]
rows, columns = (np.diff(np.clip(np.linspace(0, n, 65) - np.arange(n)[:, None], 0, 1)) / n for n in (height, width))
overview = 4096 * np.einsum("chw,hi,wj->ijc", planes, rows, columns, optimize=True).astype(np.float32)[None]
overview[..., 3] **= 1 / 8
padded = np.pad(photo, ((16, 16 + -height % 16), (16, 16 + -width % 16), (0, 0)), "reflect")[None]
down, across = padded.shape[1] - 16, padded.shape[2] - 16
box = np.array([[-16 / height, -16 / width, down / height, across / width]], np.float32)
inputs = {"thumbnail": overview[..., :3], "photo": padded, "box": box}
inputs["white_balance"] = np.ones((1, 1), np.float32)
inputs["gain"] = np.full((1, 1, 1, 1), 0.4 / max(photo.mean(), 0.016), np.float32)
if "guess" in model.get_signature_list():
    inputs["level"] = model.get_signature_runner("guess")(overview=overview)["guess"]
run = model.get_signature_runner("serving_default")
output = run(**{name: inputs[name] for name in run.get_input_details()})["output"]
result = output[0, 16 : 16 + height, 16 : 16 + width].clip(0, 1)
Image.fromarray(np.rint(result * 255).astype(np.uint8)).save(sys.argv[3])
