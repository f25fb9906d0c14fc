"""A loaded model at work: tiles, controls, and clips whose exposure is smoothed over time.

It may import `zoo`, `networks`, `io`, `imaging`; it never imports `training`.
"""
