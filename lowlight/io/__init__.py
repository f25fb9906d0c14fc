"""Photos in and out: what a file is, what it means, and writing it whole or not at all.

Every format is read to upright sRGB (`photo`); formats, profiles and metadata each have their module. It may import
`imaging`; what is done to the pixels in between belongs to `inference`.
"""
