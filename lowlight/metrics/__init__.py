"""How near an output is to the truth: metrics of one photo, baselines, and scores over many pairs.

It may import `data`, `io`, `imaging`; it measures any function from photo to photo and knows no model.
"""
