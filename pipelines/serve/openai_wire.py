"""OpenAI's images interface as this server speaks it: request bodies, responses and errors.

Field names and shapes follow the ``openai`` client, version 3.54. Fields that OpenAI defines are accepted where the value asks
for what this server does anyway and refused with a reason otherwise; unknown fields are refused by name. Accepting and ignoring
them was rejected: a client would not learn that its mask or its quality had no effect. `seed` is our extension.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, JsonValue, ValidationError
from pydantic_core import from_json

MAX_PROMPT_CHARACTERS = 32_000
"""OpenAI's limit."""
MAX_PICTURES = 10
"""OpenAI's limit on `n`."""
MAX_SEED = 2**31 - 1

ErrorType = Literal["invalid_request_error", "rate_limit_error", "server_error"]


class WireError(ValueError):
    """A request that is answered with an error, in OpenAI's form."""

    def __init__(self, message: str, *, param: str | None = None, code: str = "invalid_value", status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status


class ErrorDetail(BaseModel, frozen=True, extra="forbid"):
    """What went wrong, for people (`message`) and for programs (the rest)."""

    message: str
    type: ErrorType
    param: str | None
    code: str | None


class ErrorBody(BaseModel, frozen=True, extra="forbid"):
    """The body of every answer that is not a success."""

    error: ErrorDetail


def error_body(error: WireError) -> ErrorBody:
    """The error as it goes over the wire."""
    kind: ErrorType = "server_error" if error.status >= 500 else "invalid_request_error"
    if error.status == 429:
        kind = "rate_limit_error"
    return ErrorBody(error=ErrorDetail(message=error.message, type=kind, param=error.param, code=error.code))


def _says_something(prompt: str) -> str:
    if not prompt.strip():
        raise ValueError("the prompt is empty; say what the picture should show")
    return prompt


def _not_streamed(stream: bool) -> bool:
    if stream:
        raise ValueError("streaming is not offered; leave the field out")
    return stream


class ImagesBody(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Body of ``POST /v1/images/generations``, and the text fields of ``POST /v1/images/edits``."""

    prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS), AfterValidator(_says_something)]
    """What the picture should show."""
    model: str | None = None
    """Name of the served model; only needed by clients that insist on sending one."""
    n: Annotated[int, Field(ge=1, le=MAX_PICTURES)] = 1
    """Number of pictures."""
    size: str = "auto"
    """"WIDTHxHEIGHT" in pixels, or "auto" for what the model makes."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    """Seed of the first picture, the next ones count up from it; drawn by the server when left out. Extension."""
    response_format: Literal["b64_json"] = "b64_json"
    """Pictures travel in the answer; nothing is kept that a URL could point to."""
    output_format: Literal["png"] = "png"
    quality: Literal["auto"] = "auto"
    background: Literal["auto", "opaque"] = "auto"
    moderation: Literal["auto"] = "auto"
    stream: Annotated[bool, AfterValidator(_not_streamed)] = False
    user: str | None = None
    """The caller's own mark; neither used nor logged."""


class PictureData(BaseModel, frozen=True, extra="forbid"):
    """One picture of an answer."""

    b64_json: str
    seed: int
    """Extension: draws the same picture again."""


class ImagesResponse(BaseModel, frozen=True, extra="forbid"):
    """Answer to both requests."""

    created: int
    """Unix time in seconds."""
    data: list[PictureData]
    background: Literal["opaque"] = "opaque"
    output_format: Literal["png"] = "png"
    size: str


def parse_json(body: bytes) -> ImagesBody:
    """The body of a JSON request; nulls count as left out, as OpenAI's clients mean them.

    Raises:
        WireError: 400, names the field.
    """
    try:
        content: JsonValue = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise WireError(f"the body is not JSON ({error}); send an object with at least 'prompt'", code="invalid_json") from error
    if not isinstance(content, dict):
        raise WireError(f"the body is {_shown(content)}; expected an object with at least 'prompt'", code="invalid_json")
    return _validated({name: value for name, value in content.items() if value is not None}, strict=True)


def parse_fields(fields: Sequence[tuple[str, str]]) -> ImagesBody:
    """The text fields of a multipart request.

    Raises:
        WireError: 400, names the field.
    """
    for name, times in Counter(name for name, _ in fields).items():
        if times > 1:
            raise WireError(f"field '{name[:60]}' was sent {times} times, expected once", param=name[:60])
    return _validated(dict(fields), strict=False)


def checked_size(size: str, *, offered: str) -> str:
    """The size to draw at.

    Raises:
        WireError: 400, neither "auto" nor what the model makes.
    """
    if size not in ("auto", offered):
        raise WireError(f"size {_shown(size)} is not offered; this model makes '{offered}' (or send 'auto')", param="size")
    return offered


def checked_model(model: str | None, *, served: tuple[str, ...]) -> None:
    """Refuses a request that names another model.

    Raises:
        WireError: 404, as OpenAI answers for a model that it does not know.
    """
    if model is not None and model not in served:
        names = " or ".join(f"'{name}'" for name in served)
        message = f"model {_shown(model)} is not served here; send {names} or leave the field out"
        raise WireError(message, param="model", code="model_not_found", status=404)


def unknown_field(name: str) -> WireError:
    """The answer to a field that this server does not know."""
    known = ", ".join(ImagesBody.model_fields)
    return WireError(f"unknown field '{name[:60]}'; this server understands {known}", param=name[:60], code="unknown_parameter")


def _validated(fields: Mapping[str, JsonValue], *, strict: bool) -> ImagesBody:
    try:
        return ImagesBody.model_validate(fields, strict=strict)
    except ValidationError as error:
        raise _named_error(error) from error


def _named_error(error: ValidationError) -> WireError:
    """The first thing wrong with a body, in one sentence that names the field."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return unknown_field(name)
    if first["type"] == "missing":
        return WireError(f"field '{name}' is missing", param=name, code="missing_required_parameter")
    reason = first["msg"].removeprefix("Value error, ")
    return WireError(f"field '{name}' is {_shown(first['input'])}: {reason}", param=name)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
