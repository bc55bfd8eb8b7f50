"""What finds pictures in a workspace: its table with indexes up to date, and the encoders that make queries of texts and files.

Texts go through the newest contrastive head on record. Without one, pictures are found by words and by pictures only.
"""

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from curation import commit
from curation.backfill import Rows
from curation.decode import Undecodable, decode_scaled
from curation.retrieval import Query, refresh_indexes
from curation.signals import features
from curation.signals.contract import VIEW_SIDE_PX
from curation.signals.features import MEASURED, square_views
from curation.signals.joint import joint_signal
from curation.tables import TableRef, pin
from curation.workers import Tasks
from eval.head import load_contrastive
from infra.errors import UserError
from infra.session import Session
from models.bundle import read_manifest
from models.minilm import MiniLmEncoder
from models.perception.contrastive import ContrastiveHead
from models.perception.efficientnet import LiteFeatures
from pipelines.columns import fill
from pipelines.recipes import latest

WORKERS = 2
FIRST_UNREAD = "\u2e80"
"""From here on Unicode is East Asian (or pictures), which MiniLM's vocabulary does not hold."""


class Finder:
    """Queries for one workspace; encoders are loaded when the first query needs them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._uri = session.workspace.uri("tables", "images.lance")
        self._bundle = _newest_head(session)

    @property
    def knows_meaning(self) -> bool:
        """Whether there is a contrastive head, so that texts find pictures by what these show."""
        return self._bundle is not None

    def prepared(self) -> TableRef:
        """The newest version of the table, with the head's column filled where pictures are measured, and indexes up to date.

        Raises:
            MissingTable: there is no table of pictures.
            UserError: its pictures were not measured.
        """
        images = pin(TableRef(uri=self._uri))
        if self._bundle is not None:
            commit.require_columns(images, features.SIGNAL.schema, job="curate")
            head = read_manifest(self._bundle).digest
            signal = joint_signal(head, width=self._head.config.width, encode=partial(_encoded_pictures, self._head))
            fill("search", self._session, images, [signal], workers=Tasks(WORKERS), rows=Rows(where=MEASURED))
        refresh_indexes(self._uri)
        return pin(TableRef(uri=self._uri))

    def of_text(self, text: str) -> Query:
        """By words and, when there is a head and the text is in letters that its encoder reads, by meaning."""
        is_read = max(text, default="") < FIRST_UNREAD
        return Query(words=text, meaning=self.meaning([text]) if self.knows_meaning and is_read else None)

    def of_picture(self, file: Path) -> Query:
        """By likeness to a picture file.

        Raises:
            UserError: there is no such file, or it is no picture.
        """
        try:
            picture = decode_scaled(file.read_bytes(), VIEW_SIDE_PX)
        except OSError as error:
            raise UserError(f"cannot read {file}: {error.strerror}; give a picture file") from error
        except Undecodable as error:
            raise UserError(f"{file} is no picture that can be read ({error.reason}: {error}); give another") from error
        return Query(likeness=LiteFeatures.load().of_pixels(np.stack(square_views([picture])))[0])

    def meaning(self, texts: Sequence[str]) -> tuple[str, Float32[np.ndarray, " d"]]:
        """The direction that English texts have in common, and the column it is compared with."""
        vectors = self._head.encode_texts(self._text_encoder.pooled(list(texts))).mean(0)
        return f"joint{self._head.config.width}", torch.nn.functional.normalize(vectors, dim=0).numpy()

    @cached_property
    def _head(self) -> ContrastiveHead:
        assert self._bundle is not None
        return load_contrastive(self._bundle)

    @cached_property
    def _text_encoder(self) -> MiniLmEncoder:
        return MiniLmEncoder.load()


def _newest_head(session: Session) -> Path | None:
    try:
        return Path(latest.bundle(session.workspace, "contrastive"))
    except UserError:
        return None


def _encoded_pictures(head: ContrastiveHead, features: Float32[np.ndarray, "b f"]) -> Float32[np.ndarray, "b d"]:
    return head.encode_images(torch.from_numpy(features.copy())).numpy()
