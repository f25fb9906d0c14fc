"""What models learn from and are measured on: pairs, their checks and splits, simulated cameras, crops and batches.

It may import `zoo` (for recipes), `io`, `imaging`. What a batch is used for belongs to `training`.
"""
