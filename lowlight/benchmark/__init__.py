"""Models measured and shown: runs over splits and held-out sets, cost, tables, plots and reports.

It may import `training` and all that is below; how a command is read and reported belongs to `cli`.
"""
