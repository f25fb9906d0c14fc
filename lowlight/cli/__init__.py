"""The command line: settings from words, jobs, batches of photos, progress, and reports to the person.

The top room: it may import all others, and none imports it.
"""
