"""Models as files for other runtimes: ONNX, LiteRT, SavedModel and OpenVINO, each checked against Keras once written.

It may import `inference`, `zoo` and what is below; only the doors import it.
"""
