"""Request bodies off the network, bounded: JSON up to 1 MiB, uploads up to 64 MiB, and the pictures in them as pixels."""

from typing import NamedTuple

import numpy as np
from fastapi import Request
from jaxtyping import UInt8
from starlette.datastructures import UploadFile

from curation.decode import Undecodable, training_view
from pipelines.serve.openai_wire import ImagesBody, WireError, parse_fields, parse_json, unknown_field

MAX_JSON_BYTES = 2**20
MAX_UPLOAD_BYTES = 64 * 2**20
MAX_FORM_PARTS = 64

PICTURE_FIELDS = ("image", "image[]")
"""OpenAI's clients send one picture as ``image`` and several as ``image[]``."""


class EditRequest(NamedTuple):
    """A request to edit or compose pictures."""

    body: ImagesBody
    pictures: tuple[bytes, ...]


async def read_generation(request: Request) -> ImagesBody:
    """The body of a text-to-image request.

    Raises:
        WireError: too long, not JSON, or a field that is missing, unknown or wrong.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise WireError(f"the body is longer than {MAX_JSON_BYTES} bytes", code="request_too_large", status=413)
    return parse_json(bytes(body))


async def read_edit(request: Request, *, max_pictures: int) -> EditRequest:
    """The fields and encoded pictures of an edit request.

    Raises:
        WireError: not multipart, too long, no or too many pictures, or a field that is missing, unknown or wrong.
    """
    _check_upload(request)
    async with request.form(max_files=MAX_FORM_PARTS, max_fields=MAX_FORM_PARTS) as form:
        pictures: list[bytes] = []
        fields: list[tuple[str, str]] = []
        for name, value in form.multi_items():
            match value:
                case UploadFile() if name in PICTURE_FIELDS:
                    pictures.append(await value.read())
                case UploadFile():
                    raise unknown_field(name)
                case str() if name in PICTURE_FIELDS:
                    raise WireError(f"field '{name}' is text, expected a file", param="image")
                case str():
                    fields.append((name, value))
    if not 1 <= len(pictures) <= max_pictures:
        message = f"got {len(pictures)} pictures, expected 1 to {max_pictures} in fields 'image' or 'image[]'"
        raise WireError(message, param="image")
    return EditRequest(parse_fields(fields), tuple(pictures))


def reference_pixels(pictures: tuple[bytes, ...], size_px: int) -> tuple[UInt8[np.ndarray, "y x 3"], ...]:
    """The pictures as the model was taught to see them: fitted into a square on white.

    Raises:
        WireError: one of them cannot be decoded.
    """
    return tuple(_pixels(picture, size_px, number) for number, picture in enumerate(pictures, start=1))


def _pixels(picture: bytes, size_px: int, number: int) -> UInt8[np.ndarray, "y x 3"]:
    try:
        return training_view(picture, size_px)
    except Undecodable as error:
        seen = f"is too large: {error.detail}" if error.reason == "too_large" else "is damaged or not a picture"
        message = f"picture {number} {seen}; send a PNG, JPEG or WebP file"
        raise WireError(message, param="image", code="invalid_image") from error


def _check_upload(request: Request) -> None:
    sent = request.headers.get("content-type", "")
    if not sent.lower().startswith("multipart/form-data"):
        raise WireError(f"content type is '{sent[:60]}', expected multipart/form-data", code="invalid_content_type")
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        message = "the length of the upload is not stated; send a Content-Length header"
        raise WireError(message, code="length_required", status=411)
    if int(length) > MAX_UPLOAD_BYTES:
        message = f"the upload has {length} bytes, expected at most {MAX_UPLOAD_BYTES}"
        raise WireError(message, param="image", code="request_too_large", status=413)
