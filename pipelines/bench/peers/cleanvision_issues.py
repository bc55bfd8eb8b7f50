"""cleanvision: all nine checks, duplicates included. Run by its own Python: FOLDER RESULT."""

import json
import sys
from pathlib import Path

from cleanvision import Imagelab


def main(folder: Path, result: Path) -> None:
    """Find the issues with two processes; one file that is no picture ends the run."""
    lab = Imagelab(data_path=str(folder))
    lab.find_issues(n_jobs=2)
    sets = lab.info["near_duplicates"]["sets"] + lab.info["exact_duplicates"]["sets"]
    groups = [[Path(path).name for path in each] for each in sets]
    result.write_text(json.dumps({"good": sorted(Path(path).name for path in lab.issues.index), "groups": groups}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
