"""The page to drop photos on, and the same over HTTP for other programs: a server on this machine,
or a Space on the Hugging Face Hub beside the models' cards.

Above all other rooms: it may import any of them, and none imports it. It needs the extra `web` (Gradio).
"""
