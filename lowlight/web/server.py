"""Start the server: the page at /, the interface for programs at /api."""

import contextlib
import ctypes
import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lowlight.errors import UserError
from lowlight.system import spinner
from lowlight.web.settings import ServeSettings
from lowlight.web.studio import Studio

if TYPE_CHECKING:
    from fastapi import FastAPI

QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Of the environment: what keeps Gradio, and what it brings along, from telling others that it runs."""

IDLE = 0.05
"""Seconds after which Gradio's queue looks for work again; its 0.001, but on Windows, keeps a laptop from resting."""

ANSWERING = "AnyIO worker thread"
"""Name of the threads that answer requests; each ends with its answer once the server has ended."""


def serve(settings: ServeSettings) -> int:
    """Serve until Ctrl-C, and give the exit status.

    Uploads and results lie in a folder that is deleted in the end.

    Raises
    ------
    UserError
        If there is no such model, the address cannot be listened at, or there is no public link to be had.
    ModuleNotFoundError
        If the extra `web` is not installed.
    """
    os.environ.update(QUIET)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # as after Ctrl-C, what was uploaded is to be deleted
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _listen(settings) as listener, _folder(), contextlib.closing(Studio(settings)) as studio:
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host  # RFC 3986, 3.2.2
        address = f"http://{host}:{port}"
        with spinner("loading the page"):
            app = application(studio, address)
        print(f"{address}  (for programs: {address}/api/docs; Ctrl-C stops it)", flush=True)
        if settings.share:
            print(_public(settings.host, port), flush=True)
        elif not settings.is_private:
            print("It has no password: whoever reaches this address can use it.", flush=True)
        _run(app, studio, listener)
    return 0


def application(studio: Studio, address: str) -> "FastAPI":
    """The page and the interface for programs as one ASGI application.

    Parameters
    ----------
    studio : Studio
    address : str
        Where it will be, as http://127.0.0.1:7860.
    """
    import gradio as gr
    from fastapi import FastAPI

    from lowlight.web.page import CSS, HEAD, page, theme
    from lowlight.web.rest import interface

    app = FastAPI(openapi_url=None)
    app.mount("/api", interface(studio, address))
    blocks = page(studio).queue(max_size=studio.settings.queue, api_open=False)
    blocks._queue.sleep_when_free = IDLE
    return gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        root_path=studio.settings.root_path or None,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        # Of all that a drop may hold: for one file above it Gradio refuses them all, and the studio tells of that one.
        max_file_size=f"{studio.settings.max_photos * studio.settings.max_megabytes}mb",
        theme=theme(),
        css=CSS,
        head=HEAD,
    )


@contextlib.contextmanager
def _folder() -> Iterator[None]:
    """For all that is put down while photos are served: uploads and results, of the page and of programs."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="lowlight-") as folder:
        tempfile.tempdir = folder
        os.environ["GRADIO_TEMP_DIR"] = f"{folder}/page"  # what is not in its own folder Gradio copies, as it should
        try:
            yield
        finally:
            tempfile.tempdir = before


def _listen(settings) -> socket.socket:
    try:
        return socket.create_server(
            (settings.host, settings.port), family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        )
    except OSError as error:
        raise UserError(
            f"That address cannot be listened at. Received: {settings.host}:{settings.port} ({error.strerror}). Give "
            "another --host, or another --port: 0 for any that is free."
        ) from error


def _run(app, studio, listener):
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets=None):
            studio.stop()
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what is cut off from now on is meant to be
            await super().shutdown(sockets)

    def load():
        with contextlib.suppress(UserError):  # the page tells of it
            studio.controls_of(studio.default)

    loading = threading.Thread(target=load)  # which takes seconds
    loading.start()
    try:
        root = studio.settings.root_path
        config = uvicorn.Config(app, root_path=root, log_level="warning", timeout_graceful_shutdown=1)
        Server(config).run(sockets=[listener])
    finally:
        _end(loading)
        for thread in threading.enumerate():
            if thread.name == ANSWERING:  # what it writes yet would keep the folder from being removed
                thread.join()


def _end(loading):
    """Stop the load of a model as Ctrl-C does elsewhere, between two lines of Python: no process can end amid it."""
    if loading.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(loading.ident), ctypes.py_object(SystemExit))
    loading.join()


def _public(host, port) -> str:
    from gradio import networking

    try:
        return networking.setup_tunnel(host, port, secrets.token_urlsafe(32), None, None)
    except Exception as error:  # of any kind: there are a server and a program of others in it
        raise UserError(
            f"There is no public link to be had. Received: {error}. Leave --share out to serve this machine."
        ) from error
