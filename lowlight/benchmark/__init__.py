"""Models measured and shown: runs over splits and held-out sets, cost, tables, plots and reports.

It may import everything but `cli`.
"""
