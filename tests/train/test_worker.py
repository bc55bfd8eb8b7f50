from pathlib import Path

import pytest

from train.worker import UnsharedFolder, require_shared, share


def test_a_worker_that_sees_the_drivers_folder_may_train(tmp_path: Path) -> None:
    require_shared(tmp_path / "fit", share(tmp_path / "fit"))


def test_a_worker_on_another_disk_is_refused_by_name(tmp_path: Path) -> None:
    token = share(tmp_path / "fit")
    with pytest.raises(UnsharedFolder, match="--root on a disk that all nodes of the cluster share"):
        require_shared(tmp_path / "elsewhere" / "fit", token)
    share(tmp_path / "other" / "fit")
    with pytest.raises(UnsharedFolder, match="does not see the run's folder"):
        require_shared(tmp_path / "other" / "fit", token)
