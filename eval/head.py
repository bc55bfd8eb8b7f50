"""The contrastive head of a bundle, ready to score."""

from pathlib import Path

from models.bundle import BundleError, ContrastiveBundle, load_tensors, read_manifest
from models.perception.contrastive import ContrastiveHead


def load_contrastive(folder: Path) -> ContrastiveHead:
    """The head in eval mode, without gradients.

    Raises:
        BundleError: no bundle there, or one that holds something else.
    """
    contents = read_manifest(folder).contents
    if not isinstance(contents, ContrastiveBundle):
        raise BundleError(f"bundle {folder} is of kind {contents.kind!r}, expected 'contrastive'")
    head = ContrastiveHead(contents.head)
    head.load_state_dict(load_tensors(folder, "contrastive"), strict=True)
    return head.eval().requires_grad_(requires_grad=False)
