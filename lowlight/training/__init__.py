"""How a recipe becomes weights: trainer, objectives and losses, checkpoints, validation, progress.

It may import everything but `benchmark` and `cli`.
"""
