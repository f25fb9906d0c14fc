"""A million photos: Ray's workers, each with a loaded model, from and to folders and buckets.

It may import `cli` and all below; nothing imports it but the doors, for Ray is not installed everywhere.
"""
