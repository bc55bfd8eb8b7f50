"""Scores of reconstructions against closed forms and scikit-image."""

import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from eval.reconstruction import Originals, psnr_db, ssim


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return data.chelsea()[:120, :100].copy()


def disturbed(picture: np.ndarray, strength: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, strength, picture.shape)
    return (picture + noise).round().clip(0, 255).astype(np.uint8)


def test_pixels_and_structure_are_scored_as_scikit_image_does(photograph: np.ndarray) -> None:
    shown = disturbed(photograph, 12)
    assert psnr_db(photograph, shown) == pytest.approx(peak_signal_noise_ratio(photograph, shown), abs=1e-9)
    expected = structural_similarity(
        photograph, shown, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(photograph, shown) == pytest.approx(expected, abs=1e-4)


def test_equal_pictures_score_best(photograph: np.ndarray) -> None:
    pictures = [photograph[:64, :64], photograph[40:104, 30:94]]
    scores = Originals(pictures).compare(pictures)
    assert [one.psnr_db for one in scores.each] == pytest.approx([58.92, 58.92], abs=0.01)
    assert [one.ssim for one in scores.each] == [1, 1]
    assert scores.frechet_lite0 == pytest.approx(0, abs=1e-3)


def test_more_noise_scores_worse_in_everything(photograph: np.ndarray) -> None:
    pictures = [photograph[y : y + 64, x : x + 64] for y, x in ((0, 0), (20, 30), (50, 10), (56, 36))]
    originals = Originals(pictures)
    little, much = (originals.compare([disturbed(one, strength) for one in pictures]) for strength in (4, 40))
    for lightly, heavily in zip(little.each, much.each, strict=True):
        assert lightly.psnr_db > heavily.psnr_db
        assert lightly.ssim > heavily.ssim
    assert 0 < little.frechet_lite0 < much.frechet_lite0


def test_detail_of_large_pictures_is_seen_at_their_own_size(photograph: np.ndarray) -> None:
    large = [np.tile(photograph[start : start + 64, :64], (8, 8, 1)) for start in (0, 30)]
    rough = [one ^ (4 * (np.indices(one.shape).sum(0) % 2)).astype(np.uint8) for one in large]  # gone when reduced
    assert Originals(large).compare(rough).frechet_lite0 > 1


def test_other_pictures_than_those_that_were_sent_are_refused(photograph: np.ndarray) -> None:
    with pytest.raises(ValueError, match="own number and shapes"):
        Originals([photograph, photograph]).compare([photograph])
    with pytest.raises(ValueError, match="at least 11 px, got 8 x 8"):
        ssim(photograph[:8, :8], photograph[:8, :8])
