"""The whole server over HTTP: real Ray Serve, a real bundle with random weights."""

import base64
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from infra.errors import UserError
from infra.session import Session
from infra.settings import Settings
from infra.untracked import NullTracker
from models.bundle import read_manifest
from pipelines.serve.app import ServeConfig, start, stop, usable_port
from pipelines.serve.stamp import read_stamp

pytestmark = pytest.mark.ray

GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
MAX_QUEUED = 24


def config(bundle: Path) -> ServeConfig:
    return ServeConfig(
        bundle=str(bundle), port=0, num_replicas=1, cpus_per_replica=1, max_batch_images=8, wait_ms=200,
        max_queued_images=MAX_QUEUED, timeout_s=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def client(local_ray: None, tiny_generator: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("serve")
    settings = Settings(root=str(folder / "work"), cache_dir=folder, logical_cpus=4, ship_code=True)
    url = start(config(tiny_generator), Session(settings, tracker=NullTracker()))
    with httpx.Client(base_url=url, timeout=120) as client:
        yield client
    stop()


def png(colour: str = "red", *, mode: str = "RGB") -> bytes:
    buffer = BytesIO()
    Image.new(mode, (50, 30), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def upload(*pictures: bytes, name: str = "image[]") -> list[tuple[str, tuple[str, bytes, str]]]:
    return [(name, ("a.png", picture, "image/png")) for picture in pictures]


def files_of(response: httpx.Response) -> list[bytes]:
    assert response.status_code == 200, response.text
    return [base64.b64decode(item["b64_json"]) for item in response.json()["data"]]


def pixels(file: bytes) -> np.ndarray:
    with Image.open(BytesIO(file)) as picture:
        return np.asarray(picture).astype(int)


def test_health_names_the_bundle(client: httpx.Client, tiny_generator: Path):
    health = client.get("/healthz").json()
    assert health["status"] == "ok"
    assert health["served"]["bundle"] == read_manifest(tiny_generator).digest
    assert (health["served"]["width_px"], health["served"]["height_px"]) == (32, 32)


def test_a_picture_carries_its_bundle_run_and_seed(client: httpx.Client, tiny_generator: Path, tmp_path: Path):
    response = client.post(GENERATIONS, json={"prompt": "a red apple", "n": 2, "seed": 7})
    first, second = files_of(response)
    assert response.json()["size"] == "32x32"
    assert pixels(first).shape == (32, 32, 3)
    (tmp_path / "a.png").write_bytes(second)
    stamp = read_stamp(tmp_path / "a.png")
    assert (stamp.bundle, stamp.run) == (read_manifest(tiny_generator).digest, "run-of-tiny")
    assert (stamp.seed, stamp.references) == (8, 0)
    assert response.json()["data"][1]["seed"] == 8
    assert b"apple" not in second


def test_a_seed_draws_the_same_picture_whoever_else_is_in_the_batch(client: httpx.Client):
    alone = pixels(files_of(client.post(GENERATIONS, json={"prompt": "a bear", "seed": 3}))[0])
    crowd = [pixels(file) for file in files_of(client.post(GENERATIONS, json={"prompt": "a bear", "seed": 0, "n": 6}))]
    assert np.abs(crowd[3] - alone).max() <= 1
    assert np.abs(crowd[2] - alone).max() > 20


def test_parallel_requests_are_answered_in_few_batches(client: httpx.Client):
    before = client.get("/healthz").json()["served"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda seed: client.post(GENERATIONS, json={"prompt": "a bear", "seed": seed}), range(8)))
    after = client.get("/healthz").json()["served"]
    assert len({files_of(answer)[0] for answer in answers}) == 8
    assert after["num_pictures"] - before["num_pictures"] == 8
    assert after["num_batches"] - before["num_batches"] <= 3


@pytest.mark.parametrize(("name", "num"), [("image", 1), ("image[]", 1), ("image[]", 2), ("image", 2)])
def test_edits_take_one_or_two_pictures(client: httpx.Client, tmp_path: Path, name: str, num: int):
    given = [png("red"), png("blue", mode="RGBA")][:num]
    response = client.post(EDITS, data={"prompt": "make it outlined", "seed": "1"}, files=upload(*given, name=name))
    (file,) = files_of(response)
    (tmp_path / "a.png").write_bytes(file)
    assert read_stamp(tmp_path / "a.png").references == num


@pytest.mark.parametrize(
    ("fields", "files", "param", "says"),
    [
        ({"prompt": "a"}, upload(png(), png(), png()), "image", "got 3 pictures, expected 1 to 2"),
        ({"prompt": "a"}, upload(b"not a picture"), "image", "picture 1 is damaged or not a picture"),
        ({"prompt": "a"}, upload(png(), png()[:60]), "image", "picture 2 is damaged or not a picture"),
        ({"prompt": "a"}, upload(png(), name="mask"), "mask", "unknown field 'mask'"),
        ({"prompt": " "}, upload(png()), "prompt", "the prompt is empty"),
        ({"prompt": "a", "size": "512x512"}, upload(png()), "size", "this model makes '32x32'"),
    ],
)
def test_a_bad_edit_is_refused_in_openais_form(client: httpx.Client, fields, files, param: str, says: str):
    response = client.post(EDITS, data=fields, files=files)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert says in error["message"]


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"prompt": ""}, "prompt", "the prompt is empty"),
        ({"prompt": "a", "size": "63x64"}, "size", "size '63x64' is not offered"),
        ({"prompt": "a", "n": 99}, "n", "field 'n' is 99"),
        ({"prompt": "a", "steps": 9}, "steps", "unknown field 'steps'"),
    ],
)
def test_a_bad_generation_is_refused_in_openais_form(client: httpx.Client, body: dict, param: str, says: str):
    response = client.post(GENERATIONS, json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert says in response.json()["error"]["message"]


def test_uploads_are_bounded_and_must_be_forms(client: httpx.Client):
    assert client.post(GENERATIONS, content=b" " * (2**20 + 1)).status_code == 413
    assert "expected multipart/form-data" in client.post(EDITS, json={"prompt": "a"}).json()["error"]["message"]
    unmeasured = client.post(EDITS, content=iter([b"x"]), headers={"content-type": "multipart/form-data; boundary=x"})
    assert unmeasured.status_code == 411


def test_more_than_the_queue_holds_is_turned_away_and_the_rest_is_answered(client: httpx.Client):
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.post(GENERATIONS, json={"prompt": "a bear", "n": 10}), range(6)))
    refused = [answer for answer in answers if answer.status_code == 429]
    served = [answer for answer in answers if answer.status_code == 200]
    assert len(refused) + len(served) == 6
    assert refused
    assert all(len(files_of(answer)) == 10 for answer in served)
    assert refused[0].headers["retry-after"] == "2"
    assert refused[0].json()["error"]["type"] == "rate_limit_error"
    assert client.post(GENERATIONS, json={"prompt": "a bear"}).status_code == 200


def test_unknown_paths_and_methods_answer_in_the_same_form(client: httpx.Client):
    assert client.get("/v1/nothing").json()["error"]["message"] == "Not Found"
    assert client.get(GENERATIONS).status_code == 405


def test_the_page_asks_nothing_from_elsewhere(client: httpx.Client):
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "http://" not in response.text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in response.text


def test_a_second_server_in_the_same_cluster_is_refused(client: httpx.Client, tiny_generator: Path, session: Session):
    with pytest.raises(UserError, match="serves seedbed already"):
        start(config(tiny_generator), session)
    assert client.get("/healthz").status_code == 200


def test_a_taken_port_is_one_line_and_nothing_is_started(tiny_generator: Path, session: Session):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"cannot listen on 127\.0\.0\.1 port {port} \(Address already in use\)") as caught:
            start(config(tiny_generator).model_copy(update={"port": port}), session)
    assert "\n" not in str(caught.value)
    assert usable_port("127.0.0.1", port) == port
