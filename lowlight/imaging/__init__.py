"""Pixels as numbers: levels and floats, the sRGB curve, exposure maps, the eight symmetries of a photo.

NumPy alone; it knows nothing of files, models or training. It may import `lowlight.errors` and `lowlight.controls`.
"""
