"""The command line: settings from words, jobs, batches of photos, progress, and reports to the person.

It may import `inference` and what is below; `api`, `cluster` and `web`, which are above, build on it.
"""
