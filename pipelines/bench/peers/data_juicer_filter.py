"""Data-Juicer: size, aspect and byte filters, then perceptual-hash deduplication. Run by its own Python: FOLDER RESULT [--fuse].

``--fuse`` turns ``op_fusion`` on.
"""

import json
import sys
import tempfile
from pathlib import Path

from torch.library import Library


def main(folder: Path, result: Path, *, is_fused: bool) -> None:
    """Run the recipe of the leg with two processes."""
    declared = with_operators()
    from data_juicer.config import init_configs  # after the declaration above
    from data_juicer.core import DefaultExecutor

    scratch = Path(tempfile.mkdtemp(dir=result.parent))
    names = sorted(path.name for path in folder.iterdir())
    lines = [json.dumps({"text": "", "name": name, "images": [str(folder / name)]}) for name in names]
    (scratch / "in.jsonl").write_text("\n".join(lines) + "\n")
    recipe = {
        "project_name": "leg", "dataset_path": str(scratch / "in.jsonl"), "export_path": str(scratch / "out" / "out.jsonl"),
        "np": 2, "op_fusion": is_fused, "use_cache": False, "open_tracer": False,
        "process": [
            {"image_size_filter": {"min_size": "5kb"}},
            {"image_shape_filter": {"min_width": 256, "min_height": 256}},
            {"image_aspect_ratio_filter": {"min_ratio": 0.25, "max_ratio": 4.0}},
            {"image_deduplicator": {"method": "phash"}},
        ],
    }  # fmt: skip
    (scratch / "recipe.json").write_text(json.dumps(recipe))
    DefaultExecutor(init_configs(args=["--config", str(scratch / "recipe.json")])).run()
    del declared
    kept = [json.loads(line)["name"] for line in (scratch / "out" / "out.jsonl").read_text().splitlines()]
    result.write_text(json.dumps({"kept": sorted(kept)}))


def with_operators() -> Library:
    """Declarations, alive as long as the result is, of the two operators that the import of torchvision looks up.

    Data-Juicer's image hashes come from imagededup, which imports torchvision; its compiled operators may not fit the torch
    beside it. None of them is called.
    """
    declared = Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return declared


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), is_fused="--fuse" in sys.argv)
