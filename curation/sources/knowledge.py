"""Knowledge pictures as a source: drawn, not found, so that any number of them is a configuration.

A shard is a block of one kind. Listing a shard draws it, because captions are only known with the picture, and keeps what it drew
in the cache folder, pictures one file each, written beside and renamed; a worker on another disk draws again and gets the same.
The text of a row is the longest caption: it alone quotes every text and value that is drawn.

Hard pictures are left out at the rate that the configuration says, by a draw keyed by row, so that a larger number of pictures
holds all those of a smaller one.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, Field

from curation.knowledge.kinds import KINDS, KnowledgeKind, draw
from curation.knowledge.quality import KeepRates, difficulty_of, is_kept, strain_of
from curation.knowledge.sample import KnowledgeSample
from curation.sources.protocol import ReadFailure, Shard, SourceRow, tables_of
from curation.splits import split_of

logger = logging.getLogger(__name__)

BLOCK_IMAGES = 256
"""Pictures in one shard."""
_DRAWN_WITH = ("matplotlib", "pillow", "rdkit", "chemicals", "ziamath", "resvg-py", "vega-datasets", "numpy", "scipy")


class KnowledgeConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Drawn pictures of formulas, charts, chemistry, elements, maps and text."""

    kind: Literal["knowledge"] = "knowledge"
    num_images: int = Field(ge=1)
    """Pictures drawn of each generator, before hard ones are thinned out."""
    generators: tuple[KnowledgeKind, ...] = Field(default=KINDS, min_length=1)
    """Generators to draw from."""
    keep: KeepRates = KeepRates()
    """Share of pictures of each difficulty that stay."""
    heldout_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of concepts kept out of training."""
    seed: int = 0
    """Key of the pictures, of the thinning and of the split."""


class KnowledgeSource:
    """Rows and pictures that the generators draw."""

    name = "knowledge"

    def __init__(self, config: KnowledgeConfig, cache_dir: Path) -> None:
        self._config = config
        self._cache = cache_dir / f"knowledge-{_drawn_by()}"

    def shards(self) -> Iterator[Shard]:
        """Blocks of `BLOCK_IMAGES` pictures, generator by generator."""
        digest = hashlib.sha256(f"{self._config.model_dump_json()}|{_drawn_by()}".encode()).hexdigest()[:12]
        for generator in self._config.generators:
            for first in range(0, self._config.num_images, BLOCK_IMAGES):
                yield Shard(f"{generator}/{first // BLOCK_IMAGES}", digest)

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """One row a picture that stays, by index."""
        yield from tables_of(self._row(sample) for sample in self._kept(shard))

    def shard_of(self, locator: str) -> str:
        """The block of a picture."""
        generator, _, index = locator.split("/")
        return f"{generator}/{int(index) // BLOCK_IMAGES}"

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """PNG; drawn again where the cache does not hold it."""
        return [self._read_one(locator) for locator in locators]

    def _kept(self, shard: str) -> Iterator[KnowledgeSample]:
        name, _, number = shard.partition("/")
        generator, block = _generator(name), int(number)
        last = min((block + 1) * BLOCK_IMAGES, self._config.num_images)
        num_thinned = 0
        for index in range(block * BLOCK_IMAGES, last):
            sample = draw(generator, self._config.seed, index)
            if is_kept(sample.id, difficulty_of(strain_of(sample.load)), self._config.keep, seed=self._config.seed):
                self._keep_picture(sample)
                yield sample
            else:
                num_thinned += 1
        logger.info("drawn", extra={"shard": shard, "thinned_images": num_thinned})

    def _row(self, sample: KnowledgeSample) -> SourceRow:
        category, _, subcategory = sample.leaf.partition("/")
        concept = f"knowledge/{sample.concept}"
        return SourceRow(
            id=f"knowledge/{sample.id}", source="knowledge", locator=sample.id,
            text_en=sample.captions_en.long, text_zh=sample.captions_zh.long, concept=concept, style="",
            category=category, subcategory=subcategory, tone="", gender="", colour="", licence=sample.licence,
            attribution=sample.attribution,
            split=split_of(concept, heldout_share=self._config.heldout_share, seed=self._config.seed),
        )  # fmt: skip

    def _read_one(self, locator: str) -> bytes | ReadFailure:
        cached = self._cache / f"{locator}.png"
        if cached.is_file():
            return cached.read_bytes()
        generator, seed, index = locator.split("/")
        if generator not in KINDS:
            return ReadFailure(f"no generator {generator!r} draws {locator!r}; there are {', '.join(KINDS)}", "missing")
        sample = draw(_generator(generator), int(seed), int(index))
        self._keep_picture(sample)
        return sample.png()

    def _keep_picture(self, sample: KnowledgeSample) -> None:
        path = self._cache / f"{sample.id}.png"
        if path.is_file():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(sample.png())
        Path(beside).replace(path)


def _generator(name: str) -> KnowledgeKind:
    return next(kind for kind in KINDS if kind == name)


@cache
def _drawn_by() -> str:
    """Digest of the code, the tables and the packages that draw: another one draws other pictures."""
    folder = Path(__file__).parents[1] / "knowledge"
    files = sorted(path for path in folder.iterdir() if path.suffix in (".py", ".yaml", ".json"))
    digest = hashlib.sha256("|".join(f"{name}=={version(name)}" for name in _DRAWN_WITH).encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
