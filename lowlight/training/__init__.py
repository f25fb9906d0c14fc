"""How a recipe becomes weights: trainer, objectives and losses, checkpoints, validation, progress.

It may import `metrics`, `inference`, `data` and what is below; `benchmark` and `cli` are above.
"""
