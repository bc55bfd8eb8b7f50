"""Where a served picture came from, written into the PNG itself.

A stamp holds the bundle's digest, the run that made the bundle and the seed, so a picture can be walked back to its training
rows and drawn again by whoever knows the prompt. The prompt is left out on purpose, hashed or not: short prompts can be
guessed from a hash, and pictures travel further than the people who asked for them intended. The IPTC term says to other
software that a model made the picture.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from pydantic import BaseModel, ValidationError

from infra.errors import UserError

PREFIX = "seedbed."
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC digital source type of a picture made by a trained model."""


class Stamp(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a served picture says about itself."""

    bundle: str
    """Digest of the generator bundle."""
    run: str
    """Id of the MLflow run that made the bundle."""
    seed: int
    """Seed of this picture's noise."""
    references: int
    """Number of pictures it was made from, 0 for text alone."""


def encode_stamped_png(pixels: UInt8[np.ndarray, "y x 3"], stamp: Stamp) -> bytes:
    """The picture as PNG with its stamp in text chunks before the pixels."""
    notes = PngInfo()
    for name, value in stamp.model_dump().items():
        notes.add_text(PREFIX + name, str(value))
    notes.add_text("Software", "seedbed")
    notes.add_text("DigitalSourceType", SOURCE_TYPE)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", pnginfo=notes, compress_level=1)
    return buffer.getvalue()


def read_stamp(file: Path) -> Stamp:
    """The stamp of a picture on disk.

    Raises:
        UserError: there is no such file, it is not a picture, or it carries no stamp.
    """
    texts = _texts_of(file)
    noted = {name.removeprefix(PREFIX): value for name, value in texts.items() if name.startswith(PREFIX)}
    if not noted:
        raise UserError(
            f"{file} carries no seedbed metadata; expected a PNG as it was served (editors and chat programs strip metadata)"
        )
    try:
        return Stamp.model_validate(noted)
    except ValidationError as error:
        wrong = error.errors()[0]
        seen = f"{wrong['loc'][0]}: {wrong['msg']}"
        raise UserError(f"{file} has damaged seedbed metadata ({seen}); use the file as it was served") from error


def _texts_of(file: Path) -> dict[str, str]:
    try:
        with Image.open(file) as picture:
            return {name: value for name, value in picture.info.items() if isinstance(name, str) and isinstance(value, str)}
    except FileNotFoundError as error:
        raise UserError(f"no file at {file}; expected a PNG that seedbed served") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{file} cannot be read as a picture ({error}); expected a PNG that seedbed served") from error
