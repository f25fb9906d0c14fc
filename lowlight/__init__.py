"""Turn dark, noisy photos into bright, clean ones; train, check and compare the models that do it."""

__version__ = "0.1.0"
