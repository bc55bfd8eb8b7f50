import io

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from curation.decode import training_view
from curation.latents import encode_batch
from curation.signals.contract import Batch
from curation.tables import LATENT_SCHEMA
from models.autoencoder import Autoencoder, AutoencoderConfig

SHAPE = AutoencoderConfig(
    patch=4, widths=(16, 32), encoder_blocks=(1, 1), decoder_blocks=(1, 1), latent_channels=4, retouch_width=4,
)


def _rows(count: int) -> pa.Table:
    pictures = []
    for seed in range(count):
        buffer = io.BytesIO()
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 24, 4), dtype=np.uint8)).save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    return pa.table({"image": pa.array(pictures, pa.large_binary())})


def test_latents_are_those_of_the_training_view_whatever_the_batch() -> None:
    torch.manual_seed(0)
    autoencoder, rows = Autoencoder(SHAPE).eval(), _rows(5)
    together = pa.table(encode_batch(Batch(rows, ()), autoencoder, size_px=32))
    parts = [Batch(rows.slice(start, 2), ()) for start in (0, 2, 4)]
    apart = pa.concat_tables([pa.table(encode_batch(part, autoencoder, size_px=32)) for part in parts])
    assert together.schema == LATENT_SCHEMA
    for row, encoded in enumerate(rows["image"].to_pylist()):
        view = torch.from_numpy(training_view(encoded, 32)).permute(2, 0, 1).float() / 127.5 - 1
        with torch.inference_mode():
            expected = autoencoder.encode(view[None])[0].numpy()
        for table in (together, apart):
            line = table.slice(row, 1).to_pylist()[0]
            np.testing.assert_allclose(np.reshape(line["latent"], line["latent_shape"]), expected, rtol=1e-4, atol=1e-5)
