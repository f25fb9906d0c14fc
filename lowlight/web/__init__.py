"""The page to drop photos on, and the same over HTTP for other programs: a server on this machine.

Above all other rooms: it may import any of them, and none imports it. It needs the extra `web` (Gradio).
"""
