import json

import pyarrow as pa

from curation.captions.structured import CAPTION, FACT_COLUMNS
from curation.signals.contract import Batch


def _rows(**columns: list[str]) -> Batch:
    num_rows = len(next(iter(columns.values())))
    return Batch(pa.table({name: columns.get(name, [""] * num_rows) for name in FACT_COLUMNS}), ())


def test_good_texts_give_captions_and_bad_ones_are_set_aside() -> None:
    found = CAPTION.build()(_rows(text_en=["red apple", "IMG_2034.jpg", ""], text_zh=["红苹果", "", ""], style=["flat", "", ""]))
    assert found["captions_en"].to_pylist()[0][0] == "flat red apple"
    assert found["captions_zh"].to_pylist()[0][0] == "扁平风格的红苹果"
    assert found["captions_en"].to_pylist()[1:] == [["", "", ""], ["", "", ""]]
    refused = [[json.loads(text) for text in texts] for texts in found["captions_refused"].to_pylist()]
    assert refused[0] == refused[2] == []
    assert [one["level"] for one in refused[1]] == ["short", "medium", "long"]
    assert all("leaking" in one["reasons"] for one in refused[1])
    assert {name: values.type for name, values in found.items()} == {field.name: field.type for field in CAPTION.outputs}
