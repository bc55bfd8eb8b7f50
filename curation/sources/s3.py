"""Pictures below a prefix of an S3 bucket, or of any store that speaks S3. What may lie beside them is said in `trees`.

Credentials are boto3's business: its files and variables, or the role of the machine.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from curation.sources.protocol import MAX_PICTURE_BYTES, ReadFailure
from curation.sources.trees import DEFAULT_CAPTIONS_FILE, Captioned, File, TreeSource
from infra.errors import UserError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_AT_A_TIME = 16
_GONE = frozenset({"NoSuchKey", "NoSuchBucket", "404"})


class S3Config(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Pictures below a prefix, with captions beside them."""

    kind: Literal["s3"] = "s3"
    path: str = Field(pattern=r"^[^/:]+(/.*)?$")
    """``bucket/prefix``; pictures are found at any depth."""
    endpoint_url: str | None = None
    """Address of a store that is not Amazon's."""
    region: str | None = None
    """Region of the bucket; boto3's own choice when empty."""
    caption_suffix: str = Field(default=".txt", pattern=r"^\.\w+$")
    """A picture's caption lies beside it, in the object with this suffix."""
    captions_file: str = DEFAULT_CAPTIONS_FILE
    """JSON Lines object below the prefix with a caption a picture; need not exist unless it is named otherwise."""
    heldout_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of concepts kept out of training."""
    seed: int = 0
    """Key of the split."""
    licence: str = "unknown"
    """Licence of the pictures, for rows whose caption line names none."""
    attribution: str = ""
    """Whom to name, for rows whose caption line names nobody."""


def s3_source(config: S3Config) -> TreeSource:
    """The source of a prefix."""
    bucket, _, prefix = config.path.partition("/")
    prefix = prefix.strip("/")
    captioned = Captioned(
        source="s3", root_name=f"{bucket}/{prefix}".rstrip("/"), caption_suffix=config.caption_suffix,
        captions_file=config.captions_file, heldout_share=config.heldout_share, seed=config.seed, licence=config.licence,
        attribution=config.attribution,
    )  # fmt: skip
    return TreeSource(S3Tree(bucket, prefix, endpoint_url=config.endpoint_url, region=config.region), captioned)


class S3Tree:
    """Keys below a prefix, as folders."""

    def __init__(self, bucket: str, prefix: str, *, endpoint_url: str | None, region: str | None) -> None:
        self.place = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._access = (endpoint_url, region)

    def folders(self) -> Iterator[str]:
        """All folders, by name, the root first."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            found: list[str] = []
            is_there = False
            for page in self._pages(folder):
                is_there = is_there or bool(page.get("KeyCount"))
                below = (one["Prefix"].removeprefix(self._prefix).rstrip("/") for one in page.get("CommonPrefixes", ()))
                found += [path for path in below if not path.rpartition("/")[2].startswith(".")]
            if is_there:
                yield folder
            waiting += sorted(found, reverse=True)

    def files(self, folder: str) -> list[File]:
        """Objects of a folder, by name; the time is part of the stamp, since equal uploads may have equal etags."""
        start = f"{self._prefix}{folder}/" if folder else self._prefix
        objects = (one for page in self._pages(folder) for one in page.get("Contents", ()))
        named = ((one["Key"].removeprefix(start), one) for one in objects)
        return [
            File(name, f"{one['Size']}-{one['ETag']}-{one['LastModified'].timestamp():.0f}")
            for name, one in named
            if name and not name.startswith(".")
        ]

    def read(self, paths: Sequence[str]) -> list[bytes | ReadFailure]:
        """Contents of objects, several at a time."""
        with ThreadPoolExecutor(max_workers=_AT_A_TIME) as pool:
            return list(pool.map(self._read_one, paths))

    def _pages(self, folder: str) -> Iterator[dict]:
        from botocore.exceptions import BotoCoreError, ClientError

        start = f"{self._prefix}{folder}/" if folder else self._prefix
        try:
            pages = _client(*self._access).get_paginator("list_objects_v2")
            yield from pages.paginate(Bucket=self._bucket, Prefix=start, Delimiter="/")
        except (BotoCoreError, ClientError) as error:
            raise UserError(f"cannot list {self.place}: {error}; check bucket, credentials and endpoint_url") from error

    def _read_one(self, path: str) -> bytes | ReadFailure:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = _client(*self._access).get_object(Bucket=self._bucket, Key=self._prefix + path)
            num_bytes = answer["ContentLength"]
            if num_bytes > MAX_PICTURE_BYTES:
                return ReadFailure(f"{path} has {num_bytes} bytes, at most {MAX_PICTURE_BYTES} are read", "too_large")
            return answer["Body"].read()
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            kind = "missing" if code in _GONE else "denied" if code == "AccessDenied" else "unreadable"
            return ReadFailure(f"{path}: {error}", kind)
        except BotoCoreError as error:
            return ReadFailure(f"{path}: {error}")


@lru_cache(maxsize=8)
def _client(endpoint_url: str | None, region: str | None) -> "BaseClient":
    """One client a process: they hold connections and may be shared between threads, but not pickled."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:  # optional: only those who read from S3 need it
        raise UserError("the source s3 needs boto3; install seedbed[sources]") from error
    config = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=10, read_timeout=30)
    return boto3.client("s3", endpoint_url=endpoint_url, region_name=region, config=config)
