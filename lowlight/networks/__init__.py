"""Graphs of the Functional API: layer blocks, one builder for each architecture, and how a wider graph begins.

Keras alone; it may import `imaging` for its constants. How a graph is trained, or which weights it has, is not said
here.
"""
