"""Graphs of the Functional API: layer blocks, and one builder for each architecture.

Keras alone; it may import `imaging` for its constants. How a graph is trained, or which weights it has, is not said
here.
"""
