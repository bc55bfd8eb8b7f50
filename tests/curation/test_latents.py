import io
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from curation import latents
from curation.decode import native_view, training_view
from curation.latents import encode_batch
from curation.signals.contract import Batch
from curation.tables import LATENT_SCHEMA, latent_schema
from models.autoencoder import Autoencoder, AutoencoderConfig

SHAPE = AutoencoderConfig(
    patch=4, widths=(16, 32), encoder_blocks=(1, 1), decoder_blocks=(1, 1), latent_channels=4, retouch_width=4,
)


def _rows(*sizes: tuple[int, int]) -> pa.Table:
    pictures = []
    for seed, size in enumerate(sizes):
        buffer = io.BytesIO()
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 4), dtype=np.uint8)).save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    return pa.table({"image": pa.array(pictures, pa.large_binary())})


def _encoder() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(SHAPE).eval()


def _alone(autoencoder: Autoencoder, view: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(view).permute(2, 0, 1).float() / 127.5 - 1
    with torch.inference_mode():
        return autoencoder.encode(pixels[None])[0].numpy()


def test_latents_are_those_of_the_training_view_whatever_the_batch() -> None:
    autoencoder, rows, view = _encoder(), _rows(*[(40, 24)] * 5), partial(training_view, size_px=32)
    together = pa.table(encode_batch(Batch(rows, ()), autoencoder, view=view))
    parts = [Batch(rows.slice(start, 2), ()) for start in (0, 2, 4)]
    apart = pa.concat_tables([pa.table(encode_batch(part, autoencoder, view=view)) for part in parts])
    assert together.schema == LATENT_SCHEMA
    for row, encoded in enumerate(rows["image"].to_pylist()):
        expected = _alone(autoencoder, training_view(encoded, 32))
        for table in (together, apart):
            line = table.slice(row, 1).to_pylist()[0]
            np.testing.assert_allclose(np.reshape(line["latent"], line["latent_shape"]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pixels_at_once", [1, 2**22])
def test_pictures_of_many_sizes_in_one_batch_keep_their_places(pixels_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "PIXELS_AT_ONCE", pixels_at_once)
    autoencoder, rows = _encoder(), _rows((32, 32), (24, 80), (32, 32), (90, 40), (24, 80))
    view = partial(native_view, max_side_px=48, multiple_px=SHAPE.factor)
    found = pa.table(encode_batch(Batch(rows, ()), autoencoder, view=view, column="latent_48"))
    assert found.schema == latent_schema("latent_48")
    assert found["latent_48_shape"].to_pylist() == [[4, 4, 4], [4, 3, 10], [4, 4, 4], [4, 9, 4], [4, 3, 10]]
    for encoded, line in zip(rows["image"].to_pylist(), found.to_pylist(), strict=True):
        expected = _alone(autoencoder, view(encoded))
        np.testing.assert_allclose(np.reshape(line["latent_48"], line["latent_48_shape"]), expected, rtol=1e-4, atol=1e-5)
