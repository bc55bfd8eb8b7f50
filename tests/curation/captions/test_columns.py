import pyarrow as pa

from curation.captions.columns import STRUCTURED, caption_columns, caption_schema, caption_set, caption_sets
from curation.captions.structured import CAPTION
from curation.tables import CAPTION_SCHEMA


def test_the_structured_set_has_the_plain_names() -> None:
    columns = caption_columns()
    assert caption_schema(columns) == CAPTION_SCHEMA == CAPTION.outputs
    assert columns.version == CAPTION.version_column


def test_sets_are_named_after_model_and_prompts() -> None:
    assert caption_set("Qwen/Qwen3-VL-4B-Instruct", "1f09ac7d22aa") == "qwen3_vl_4b_instruct_1f09ac"
    assert caption_set("/models/my model/", "1f09ac7d22aa") == "my_model_1f09ac"
    assert caption_set("Qwen/A", "1" * 12) != caption_set("Qwen/A", "2" * 12)
    columns = caption_columns("qwen3_1f09ac")
    assert columns.en == "captions_qwen3_1f09ac_en"
    assert len(set(columns)) == len(columns)
    assert not set(columns) & set(caption_columns())


def test_a_table_tells_which_sets_it_has() -> None:
    schemas = [caption_schema(caption_columns(name)) for name in (STRUCTURED, "b_222222", "a_111111")]
    table = pa.schema([pa.field("id", pa.string()), *(field for schema in schemas for field in schema)])
    assert caption_sets(table) == (STRUCTURED, "a_111111", "b_222222")
    assert caption_sets(pa.schema([("id", pa.string())])) == ()
