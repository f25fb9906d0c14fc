"""Which models there are: recipes, files of weights and their cards, downloads, and files that other Keras versions
saved.

It may import `networks`, `imaging` and what lies below. How a recipe is followed belongs to `training`.
"""
