"""The interface for programs: a photo comes in, its result goes out; described by OpenAPI, with a page to try it on."""

import asyncio
import contextlib
import math
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

from anyio import from_thread
from fastapi import Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from lowlight import __version__
from lowlight.controls import RANGES, Controls
from lowlight.errors import UserError
from lowlight.io.photo import IMAGE_SUFFIXES, ImageError
from lowlight.web.studio import STOPS, BusyError, Studio
from lowlight.zoo import registry

AROUND = 100_000
"""Bytes that a request may have besides the photo."""

FIELDS = ("photo", "model", *Controls.__dataclass_fields__)
"""Of the form."""

LONGEST_ECHO = 100
"""Characters of a wrong value that its message repeats."""

PROBLEMS: dict[int | str, str] = {
    400: "A value is wrong.",
    411: "The request does not say how long it is.",
    413: "The file is too large.",
    415: "It is no photo that can be read.",
    503: "Too many photos wait, or the server stops.",
    "default": "Something else is wrong.",
}
"""What can be wrong, by HTTP's status."""

STATUS: dict[type[UserError], int] = {BusyError: 503, ImageError: 415}

DESCRIPTION = """
Turns dark, noisy photos into bright, clean ones, as the page at [{root}/]({root}/) does.

    curl -F photo=@night.jpg -F exposure=0.5 {address}/api/enhance -o bright.jpg

The result has the photo's size, format and metadata; the header `X-Notes` tells what is left out.
What is wrong is told as `{{"error": "…"}}`.
"""


class Model(BaseModel):
    """A model that can be asked for."""

    name: str
    idea: str
    parameters: int | None
    default: bool


class Problem(BaseModel):
    """What is wrong, in a line."""

    error: str


def interface(studio: Studio, address: str) -> FastAPI:
    """The routes of the interface: GET /models, POST /enhance, and their description at /docs and /openapi.json.

    Parameters
    ----------
    studio : Studio
    address : str
        Of the server, as http://127.0.0.1:7860.
    """
    app = FastAPIOffline(
        title="lowlight",
        version=__version__,
        description=DESCRIPTION.format(address=address, root=studio.settings.root_path),
        redoc_url=None,
        exception_handlers={UserError: _tell, RequestValidationError: _tell_of_values, HTTPException: _tell_of_http},
    )
    app.add_middleware(Limited, most=int(studio.settings.max_megabytes * 1e6) + AROUND)
    app.add_middleware(HeadAsGet)
    app.add_middleware(ToldOfTheEnd)

    @app.get("/models")
    def models() -> list[Model]:
        """The models that there are."""
        facts = {entry["name"]: entry for entry in registry.available()}
        empty: dict[str, Any] = {"idea": "", "parameters": None}
        known = {name: {key: facts.get(name, empty)[key] for key in empty} for name in studio.models}
        return [Model(name=name, **about, default=name == studio.default) for name, about in known.items()]

    @app.post(
        "/enhance",
        response_class=FileResponse,
        dependencies=[Depends(_check_form)],
        responses={status: {"model": Problem, "description": text} for status, text in PROBLEMS.items()}
        | {200: {"description": "The result.", "content": {"image/*": {"schema": {"type": "string"}}}}},
    )
    def enhance(
        request: Request,
        photo: Annotated[UploadFile, File(description="A photo of any kind that main.py reads.")],
        model: Annotated[str, Form(description="A name that /models lists, or its number.")] = studio.default,
        exposure: Annotated[float, _of("exposure", "Brighter, in stops.")] = Controls.exposure,
        shadows: Annotated[float, _of("shadows", "The dark parts alone, in stops.")] = Controls.shadows,
        highlights: Annotated[float, _of("highlights", "The bright parts alone, in stops.")] = Controls.highlights,
        strength: Annotated[float, _of("strength", "How much is done.")] = Controls.strength,
        denoise: Annotated[float, _of("denoise", "How much of the noise is taken away.")] = Controls.denoise,
        white_balance: Annotated[bool, Form(description="Correct the colour of the light.")] = Controls.white_balance,
    ) -> FileResponse:
        """Enhance a photo at its full size; metadata, transparency and bit depth are kept."""
        controls = Controls(exposure, shadows, highlights, strength, denoise, white_balance)
        return _enhanced(studio, photo, model, controls, lambda: not from_thread.run(request.is_disconnected))

    return app


def _enhanced(studio, photo, model, controls, is_wanted) -> FileResponse:
    """The result of an upload; what was put down for it is removed once it is sent, or cannot be made."""
    folder = Path(tempfile.mkdtemp())
    try:
        name = Path((photo.filename or "").replace("\0", "")).name or "photo"
        suffix = Path(name).suffix.lower()
        uploaded = folder / f"photo{suffix if suffix in IMAGE_SUFFIXES else ''}"
        with uploaded.open("wb") as file:
            shutil.copyfileobj(photo.file, file)
        result = studio.enhance(uploaded, name, folder, model, controls, is_wanted)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return FileResponse(
        result.path,
        filename=result.path.name,
        headers={"X-Seconds": f"{result.seconds:.2f}"} | _told(result.notes),
        background=BackgroundTask(shutil.rmtree, folder),
    )


def _tell(_: Request, error: UserError) -> JSONResponse:
    return _problem(STATUS.get(type(error), 400), str(error))


def _tell_of_values(_: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    received = str(first["input"])[:LONGEST_ECHO]
    return _problem(400, f"{first['loc'][-1]}: {first['msg']}. Received: {received}. See /api/docs.")


def _tell_of_http(request: Request, error: HTTPException) -> JSONResponse:
    message = f"{error.detail.rstrip('.')}. Received: {request.method} {request.url.path}. See /api/docs."
    return _problem(error.status_code, message, error.headers)


class Limited:
    """Refuses requests whose length is too great, or not told, before they are read."""

    def __init__(self, app: ASGIApp, most: int):
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and scope["method"] == "POST":
            length = dict(scope["headers"]).get(b"content-length", b"").decode()
            problem = None
            if not length.isdecimal():
                problem = _problem(411, "The length of the request is missing. Send Content-Length.")
            elif int(length) > self.most:
                limit = f"{math.ceil((int(length) - AROUND) / 1e6)} MB, above {(self.most - AROUND) / 1e6:.0f} MB"
                problem = _problem(413, f"The file is too large: {limit}. Send a smaller one.")
            if problem:
                await problem(scope, receive, send)
                return
        await self.app(scope, receive, send)


class HeadAsGet:
    """Answers HEAD wherever GET is answered, as by RFC 9110, 9.1; the server leaves the content out."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # a copy, for the server looks into its own
        await self.app(scope, receive, send)


class ToldOfTheEnd:
    """Answers what is cut off by the end of the server, which would be an error of the program's own else."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            with contextlib.suppress(RuntimeError):  # its answer is on the way already
                await _problem(503, STOPS)(scope, receive, send)
            raise


def _of(control, description) -> Any:
    least, most = RANGES[control]
    return Form(description=description, ge=least, le=most)


async def _check_form(request: Request):
    """Refuse other forms, and fields that are not known: a misspelt control would change nothing, and nobody notice."""
    form = await request.form()
    kind = request.headers.get("content-type", "none").partition(";")[0].strip().lower()
    if kind != "multipart/form-data" or isinstance(form.get("photo"), str):
        raise UserError(
            f"The photo must be sent as a file in a form, as by: curl -F photo=@night.jpg. Received: {kind}, "
            f"{'text' if 'photo' in form else 'no file'}."
        )
    sent = [name for name, _ in form.multi_items()]
    unknown = [name for name in sent if name not in FIELDS]
    if unknown:
        raise UserError(f"There is no such field. Received: {unknown[0][:LONGEST_ECHO]}. Known: {', '.join(FIELDS)}.")
    twice = [name for name in FIELDS if sent.count(name) > 1]
    if twice:
        raise UserError(f"A field is given once. Received: {twice[0]} {sent.count(twice[0])} times.")


def _told(notes) -> dict[str, str]:
    """What is told of a photo, as a header: of characters that headers may have."""
    line = " ".join("; ".join(notes).split()).encode("ascii", "replace").decode()
    return {"X-Notes": line} if line else {}


def _problem(status, message, headers=None) -> JSONResponse:
    return JSONResponse(Problem(error=message).model_dump(), status, headers)
