"""Answers that were paid for, kept by what decides them: the same request is never computed twice.

The key is a digest of the picture's bytes, the prompt, the model's files and the generation parameters, so answers outlive jobs
and are shared by recipes; file names and row ids play no part. An answer is one small file under ``requests/`` of the workspace,
named by its key and written beside its place and renamed.

Chosen over SQLite, whose locks do not hold on network file systems and which an object store cannot hold at all: files need no
lock, any number of workers on any node may read and write, a crash loses only what was not yet written, and two that compute the
same request write the same file. The price is a file of about 300 bytes an answer, small beside the GPU time that it saves.
"""

import hashlib
import json
import logging
from typing import NamedTuple

from pydantic import BaseModel, Field, ValidationError

from infra.storage import Workspace

logger = logging.getLogger(__name__)

_FOLDER = "requests"


class Generation(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How answers are generated; decoding is greedy."""

    max_new_tokens: int = Field(gt=0)
    """Length at which an answer is cut."""
    longest_px: int = Field(ge=28)
    """Pictures are reduced to this longer side before the model sees them."""


class Request(NamedTuple):
    """One question about one picture."""

    picture: str
    """SHA-256 of the encoded picture."""
    prompt: str
    """Digest of the prompt."""
    model: str
    """Digest of the model's files."""
    generation: Generation

    @property
    def key(self) -> str:
        """SHA-256 of all of it."""
        parts = [self.picture, self.prompt, self.model, self.generation.model_dump(mode="json")]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Stored(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """An answer as it lies in the cache."""

    key: str
    """Of the request, once more, so that a file in the wrong place is noticed."""
    text: str
    """What the model wrote."""
    num_tokens: int
    """Generated tokens."""
    is_cut: bool
    """Ended by `max_new_tokens`."""


class RequestCache:
    """Looks up and keeps answers; counts hits and misses."""

    def __init__(self, root: str) -> None:
        self._workspace = Workspace(root)
        self.num_hits = 0
        self.num_misses = 0

    def find(self, request: Request) -> Stored | None:
        """The answer that was kept, None when the request has to be computed."""
        found = self._read(request.key)
        if found is None:
            self.num_misses += 1
        else:
            self.num_hits += 1
        return found

    def keep(self, answer: Stored) -> None:
        """Store an answer; a reader sees all of it or nothing."""
        self._workspace.write_text(answer.model_dump_json(), *_place(answer.key))

    def _read(self, key: str) -> Stored | None:
        if not self._workspace.exists(*_place(key)):
            return None
        try:
            stored = Stored.model_validate_json(self._workspace.read_text(*_place(key)))
        except ValidationError:
            stored = None
        if stored is None or stored.key != key:
            logger.warning("a cached answer is damaged, it is computed again", extra={"key": key})
            return None
        return stored


def _place(key: str) -> tuple[str, ...]:
    """Two levels of folders, 65,536 in all, so that none of them gets too large to list."""
    return (_FOLDER, key[:2], key[2:4], f"{key}.json")
