"""What a generator is asked for, and what is refused before anything is computed.

Rounding is documented rather than refused where nothing is lost that matters: pictures that are brought along are scaled to the
nearest size the autoencoder can encode. A size asked for in pixels is drawn as asked or refused.

y, x pixels
"""

from collections.abc import Collection
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.picture_sizes import Aspect, ImageSize, chosen_size, require_drawable, size_of

MOST_REFERENCES = 10
"""Pictures that a request may bring along."""
MOST_IMAGES = 16
"""Pictures of a set."""
TASK_LABELS = frozenset({"t2i", "edit", "compose", "set"})
"""Labels that follow from what is asked (`Request.task`), so nobody asks for them by name."""


class Request(NamedTuple):
    """One picture to be made, or a set of several."""

    prompt: str
    references: tuple[Float[Tensor, "3 _ _"], ...]
    """Pictures to edit or to compose from, or controls such as edges (`models.perception.controls`), in [-1, 1]; none for
    text-to-image."""
    seed: int
    size: ImageSize | Aspect | None
    """In pixels; or a ratio, at the area of the model's own size; or None to have it chosen: as the prompt says ("16:9"), shaped
    as the first reference, or the model's own (`models.picture_sizes.chosen_size`)."""
    mask: Float[Tensor, "1 _ _"] | None = None
    """Above 0 where the first reference is drawn anew, of its size; all else stays as it is, to the pixel. The picture keeps the
    reference's size, so `size` must be None."""
    num_images: int = 1
    """Pictures of the set: each is drawn in sight of those before it, and has noise of its own."""
    tags: tuple[str, ...] = ()
    """Labels besides the task's, of those that the model knows (`DiTConfig.labels`)."""

    @property
    def task(self) -> str:
        """Name of what is asked (`curation.tasks.Task`): the label under which the like was trained."""
        if self.num_images > 1:
            return "set"
        return ("t2i", "edit")[len(self.references)] if len(self.references) < 2 else "compose"


def checked(request: Request, *, labels: Collection[str]) -> Request:
    """The request, if it can be carried out.

    Args:
        labels: that the model knows.

    Raises:
        ValueError: says what was asked for, what can be done, and what to change.
    """
    if not request.prompt.strip():
        raise ValueError("the prompt is empty; say what the picture should show")
    if len(request.references) > MOST_REFERENCES:
        num = len(request.references)
        raise ValueError(f"{num} references were given, at most {MOST_REFERENCES} are looked at; leave some out")
    if not 1 <= request.num_images <= MOST_IMAGES:
        raise ValueError(f"a set of {request.num_images} pictures was asked for; expected 1 to {MOST_IMAGES}")
    tags = frozenset(labels) - TASK_LABELS
    if unknown := [tag for tag in request.tags if tag not in tags]:
        known = ", ".join(sorted(tags)) or "none"
        raise ValueError(f"tag {unknown[0]!r} is not known to this model; it knows {known}")
    if request.mask is not None:
        _check_mask(request, request.mask)
    return request


def _check_mask(request: Request, mask: Float[Tensor, "1 y x"]) -> None:
    if not request.references:
        raise ValueError("a mask was given without a picture; bring along the picture that it masks as the first reference")
    given, wanted = (ImageSize(*picture.shape[1:]) for picture in (mask, request.references[0]))
    if given != wanted:
        raise ValueError(f"the mask is {given}, its picture (the first reference) {wanted}; make them equal")
    if request.size is not None:
        raise ValueError(f"size {request.size} was asked for beside a mask; a masked picture keeps its size, so leave it out")
    if request.num_images > 1:
        raise ValueError(f"a set of {request.num_images} pictures was asked for beside a mask; ask for the pictures one by one")
    if not bool((mask > 0).any()):
        raise ValueError("the mask is empty, so there is nothing to draw; mark what should change with values above 0")


def drawn_size(request: Request, *, default: ImageSize, factor: int) -> ImageSize:
    """The size at which a request is drawn.

    Args:
        factor: pixels a side that one token covers.

    Raises:
        ValueError: the size asked for cannot be drawn.
    """
    shapes = [ImageSize(*picture.shape[1:]) for picture in request.references]
    match request.size:
        case ImageSize():
            size = request.size
        case Aspect():
            size = size_of(request.size, area_px=default.height_px * default.width_px, factor=factor)
        case None if request.mask is not None:
            size = nearest_size(shapes[0], factor=factor, most_px=default.height_px * default.width_px)
        case None:
            size = chosen_size(request.prompt, shapes, default=default, factor=factor)
    require_drawable(size, factor=factor)
    return size


def nearest_size(size: ImageSize, *, factor: int, most_px: int) -> ImageSize:
    """The size at which a picture that was brought along is looked at: both sides at the nearest multiple of `factor`.

    Args:
        most_px: area above which it is scaled down, as large as those of training.

    Raises:
        ValueError: the picture is beyond 1:16 or 16:1.
    """
    if size.height_px * size.width_px > most_px:
        return size_of(Aspect(size.width_px, size.height_px), area_px=most_px, factor=factor)
    height, width = (max(factor, round(side / factor) * factor) for side in size)
    return ImageSize(height, width)


def scaled_to(picture: Float[Tensor, "c y x"], size: ImageSize) -> Float[Tensor, "c _ _"]:
    """The picture at a size, smoothed where it shrinks; itself where it has it already."""
    if ImageSize(*picture.shape[1:]) == size:
        return picture
    return functional.interpolate(picture[None], tuple(size), mode="bicubic", antialias=True)[0].clamp(-1, 1)
