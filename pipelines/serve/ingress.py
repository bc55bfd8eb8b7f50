"""HTTP in front of the model: routes, limits, and every failure in OpenAI's error form."""

import asyncio
import base64
import logging
import secrets
import time
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.exceptions import HTTPException

from pipelines.serve.messages import Job, Served
from pipelines.serve.openai_wire import (
    MAX_SEED,
    ImagesBody,
    ImagesResponse,
    PictureData,
    WireError,
    checked_model,
    checked_size,
    error_body,
)
from pipelines.serve.uploads import read_edit, read_generation, reference_pixels

logger = logging.getLogger(__name__)

MODEL_NAME = "seedbed"
MAX_REFERENCES = 2
"""The generator is taught edits of one picture and compositions of two."""
DESCRIBE_TIMEOUT_S = 10.0
RETRY_AFTER_S = 2

PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; connect-src 'self'"

api = FastAPI(title="Seedbed", docs_url=None, redoc_url=None, openapi_url=None)  # the generated pages load scripts from a CDN


class Health(BaseModel, frozen=True, extra="forbid"):
    """Answer to ``GET /healthz``."""

    status: str
    model: str
    max_references: int
    served: Served


@api.exception_handler(WireError)
async def answer_wire_error(_: Request, error: WireError) -> JSONResponse:
    """A refused request."""
    headers = {"retry-after": str(RETRY_AFTER_S)} if error.status == 429 else None
    return JSONResponse(error_body(error).model_dump(), status_code=error.status, headers=headers)


@api.exception_handler(HTTPException)
async def answer_http_error(_: Request, error: HTTPException) -> JSONResponse:
    """A path, method or form that the framework refused."""
    refused = WireError(str(error.detail), code="invalid_request", status=error.status_code)
    return JSONResponse(error_body(refused).model_dump(), status_code=error.status_code, headers=error.headers)


@api.exception_handler(Exception)
async def answer_failure(_: Request, error: Exception) -> JSONResponse:
    """Our own failure: the log has the reason, the caller does not."""
    logger.error("request failed", exc_info=error)
    failed = WireError("the server failed to answer; its log says why", code="internal_error", status=500)
    return JSONResponse(error_body(failed).model_dump(), status_code=500)


@serve.ingress(api)
class Ingress:
    """Routes; holds a handle to the model and the number of pictures it waits for."""

    def __init__(self, generator: DeploymentHandle, *, max_queued_images: int) -> None:
        self._generator = generator
        self._max_queued_images = max_queued_images
        self._queued_images = 0
        self._known: Served | None = None

    @api.get("/", response_class=HTMLResponse)
    async def page(self) -> HTMLResponse:
        """The page to type a prompt."""
        text = files("pipelines.serve").joinpath("page.html").read_text(encoding="utf-8")
        return HTMLResponse(text, headers={"content-security-policy": PAGE_POLICY})

    @api.get("/healthz")
    async def health(self) -> Health:
        """Answers once a model is loaded and says which one."""
        return Health(status="ok", model=MODEL_NAME, max_references=MAX_REFERENCES, served=await self._describe())

    @api.post("/v1/images/generations")
    async def generations(self, request: Request) -> ImagesResponse:
        """Pictures from text."""
        return await self._answer(await read_generation(request), ())

    @api.post("/v1/images/edits")
    async def edits(self, request: Request) -> ImagesResponse:
        """Pictures from text and one or two pictures."""
        edit = await read_edit(request, max_pictures=MAX_REFERENCES)
        return await self._answer(edit.body, edit.pictures)

    async def _answer(self, body: ImagesBody, pictures: tuple[bytes, ...]) -> ImagesResponse:
        served = self._known or await self._describe()
        checked_model(body.model, served=(MODEL_NAME, served.bundle))
        size = checked_size(body.size, offered=served.size)
        references = await asyncio.to_thread(reference_pixels, pictures, served.width_px)
        first = secrets.randbelow(MAX_SEED) if body.seed is None else body.seed
        seeds = [(first + number) % (MAX_SEED + 1) for number in range(body.n)]
        drawn = await self._draw([Job(body.prompt, references, seed) for seed in seeds])
        data = [
            PictureData(b64_json=base64.b64encode(file).decode("ascii"), seed=seed)
            for file, seed in zip(drawn, seeds, strict=True)
        ]
        return ImagesResponse(created=int(time.time()), data=data, size=size)

    async def _draw(self, jobs: list[Job]) -> list[bytes]:
        """All pictures of a request or, when the queue is full, none: Serve's own limit would refuse some of them half-way."""
        if self._queued_images and self._queued_images + len(jobs) > self._max_queued_images:
            message = f"{self._queued_images} pictures are waiting already; try again in {RETRY_AFTER_S} s"
            raise WireError(message, code="rate_limit_exceeded", status=429)
        self._queued_images += len(jobs)
        try:
            return list(await asyncio.gather(*(self._generator.draw.remote(job) for job in jobs)))
        finally:
            self._queued_images -= len(jobs)

    async def _describe(self) -> Served:
        try:
            served: Served = await asyncio.wait_for(self._generator.describe.remote(), DESCRIBE_TIMEOUT_S)
        except (TimeoutError, RayError, RayServeException) as error:
            raise WireError("the model is not ready; try again shortly", code="not_ready", status=503) from error
        self._known = served
        return served
