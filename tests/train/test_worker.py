from pathlib import Path

import pytest
import torch

from train.parallel.world import World
from train.worker import Notices, UnsharedFolder, require_shared, share


def test_a_worker_that_sees_the_drivers_folder_may_train(tmp_path: Path) -> None:
    require_shared(tmp_path / "fit", share(tmp_path / "fit"))


def test_a_worker_on_another_disk_is_refused_by_name(tmp_path: Path) -> None:
    token = share(tmp_path / "fit")
    with pytest.raises(UnsharedFolder, match="--root on a disk that all nodes of the cluster share"):
        require_shared(tmp_path / "elsewhere" / "fit", token)
    share(tmp_path / "other" / "fit")
    with pytest.raises(UnsharedFolder, match="does not see the run's folder"):
        require_shared(tmp_path / "other" / "fit", token)


def test_notices_are_asked_for_at_once_after_a_resume_and_after_going_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked, told = [1000.0], [], [None, None, None, None, None, None, "a node goes"]
    monkeypatch.setattr("train.worker.time.monotonic", lambda: clock[0])

    def ask() -> object | None:
        asked.append(step)
        return told[len(asked) - 1]

    notices = Notices(World(0, 1, torch.device("cpu")), ask)
    noticed = {}
    for step in [*range(50_000, 50_012), *range(49_900, 49_910)]:     # a second each
        clock[0] += 1.0
        noticed[step] = notices(step)
    assert asked == [50_000, 50_001, 50_006, 50_011, 49_900, 49_901, 49_906]
    assert [step for step, is_noticed in noticed.items() if is_noticed] == [49_906, 49_907, 49_908, 49_909]
