"""A bilingual encoder of a few thousand parameters that knows a few words, and its bundle."""

from pathlib import Path

import torch

from models.bilingual import BilingualConfig, BilingualEncoder
from models.bundle import Lineage, Manifest, TableVersion, TextBundle, save_bundle
from models.byte_pairs import SMALLEST, learnt_merges
from models.perception.contrastive import ContrastiveConfig, ContrastiveHead
from models.text import ALIGNMENT, WEIGHTS

TINY = BilingualConfig(num_tokens=SMALLEST + 60, width=16, depth=2, num_heads=2, ffn_width=16, text_width=24, max_tokens=32)
TEXTS = ["A flat apple in flat style.", "扁平风格的苹果", "make it red", "变成红色"]
LINEAGE = Lineage(
    run_id="run", tables=(TableVersion(uri="t", version=1),), selection=TableVersion(uri="s", version=1), parents=(), code="c"
)


def tiny_encoder() -> BilingualEncoder:
    torch.manual_seed(0)
    encoder = BilingualEncoder(TINY)
    encoder.learn_words(learnt_merges(TEXTS * 4, num_tokens=TINY.num_tokens))
    return encoder.eval()


def write_text_bundle(folder: Path, *, dtype: torch.dtype = torch.float32) -> Manifest:
    head = ContrastiveConfig(width=8, text_hidden=8, image_noise=0.0)
    weights = {
        WEIGHTS: tiny_encoder().state_dict(),
        ALIGNMENT: ContrastiveHead(head, text_width=TINY.text_width).state_dict(),
    }
    return save_bundle(folder, TextBundle(encoder=TINY, head=head), weights, lineage=LINEAGE, metrics={}, dtype=dtype)
