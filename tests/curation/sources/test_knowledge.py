import io
import pickle
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from curation.knowledge.quality import KeepRates
from curation.sources import KnowledgeConfig, ReadFailure, build, fingerprint, listed
from curation.sources.protocol import ROWS_SCHEMA, Source

SMALL = KnowledgeConfig(num_images=6, generators=("elements", "composed_text", "maps"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return build(SMALL, cache_dir=tmp_path_factory.mktemp("cache"))


def test_rows_are_complete_and_stand_for_pictures(source: Source) -> None:
    rows = listed(source)
    assert rows.schema.equals(ROWS_SCHEMA)
    assert 3 <= rows.num_rows <= 18
    for name in ("id", "text_en", "text_zh", "concept", "category", "subcategory", "licence", "attribution"):
        assert "" not in rows[name].to_pylist(), name
    assert len(set(rows["id"].to_pylist())) == rows.num_rows
    for picture in source.read(rows["locator"].to_pylist()):
        assert isinstance(picture, bytes)
        assert Image.open(io.BytesIO(picture)).mode == "RGB"


def test_every_row_belongs_to_a_shard_that_lists_it(source: Source) -> None:
    for shard in source.shards():
        for table in source.rows(shard.name):
            assert {source.shard_of(locator) for locator in table["locator"].to_pylist()} == {shard.name}


def test_a_worker_with_an_empty_cache_draws_the_same_bytes(source: Source, tmp_path: Path) -> None:
    locators = listed(source)["locator"].to_pylist()[:4]
    other = build(SMALL, cache_dir=tmp_path)
    assert pickle.loads(pickle.dumps(other)).read(locators) == source.read(locators)


def test_hard_pictures_are_thinned_and_the_rest_stays(tmp_path: Path) -> None:
    plain = KnowledgeConfig(num_images=16, generators=("maps",), keep=KeepRates(hard=1.0))
    thinned = plain.model_copy(update={"keep": KeepRates(hard=0.0)})
    every, few = (listed(build(config, cache_dir=tmp_path)) for config in (plain, thinned))
    assert every.num_rows == 16
    assert 0 < few.num_rows < 16
    assert set(few["id"].to_pylist()) < set(every["id"].to_pylist())


def test_a_concept_is_in_one_split(tmp_path: Path) -> None:
    rows = listed(build(KnowledgeConfig(num_images=60, generators=("elements",), heldout_share=0.3), cache_dir=tmp_path))
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for concept, split in zip(rows["concept"].to_pylist(), rows["split"].to_pylist(), strict=True):
        splits[concept].add(split)
    assert all(len(found) == 1 for found in splits.values())
    assert {"train", "heldout"} == set().union(*splits.values())


def test_another_seed_is_another_source(tmp_path: Path) -> None:
    one, two = (build(SMALL.model_copy(update={"seed": seed}), cache_dir=tmp_path) for seed in (0, 1))
    assert fingerprint(one) != fingerprint(two)
    assert fingerprint(one) == fingerprint(build(SMALL, cache_dir=tmp_path))


def test_what_nobody_draws_is_a_failure_of_its_row(source: Source) -> None:
    (failure,) = source.read(["music/0/3"])
    assert isinstance(failure, ReadFailure)
    assert failure.kind == "missing"


def test_unknown_generators_are_refused() -> None:
    with pytest.raises(ValidationError, match="generators"):
        KnowledgeConfig.model_validate({"num_images": 3, "generators": ["music"]})
