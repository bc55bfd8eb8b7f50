import pytest

from curation.backfill import Backfilled
from curation.costs import BILLION, Cost, Costs, rates
from curation.tables import TableRef
from pipelines.columns import costs, costs_in

COSTS = Costs((Cost("read", 1.0, 1000), Cost("decode", 3.0, 900), Cost("hashes", 6.0, 300)), num_bytes=50_000)


def test_costs_are_by_the_rows_they_were_spent_on() -> None:
    assert [line.ms_a_row for line in COSTS.lines] == pytest.approx([1, 10 / 3, 20])
    assert COSTS.decode_share == pytest.approx(0.3)
    assert COSTS.bytes_a_row == 50
    assert COSTS.cpu_hours(BILLION) == pytest.approx((1 + 10 / 3 + 20) * 1e6 / 3600)
    assert COSTS.total == Cost("all", 10.0, 1000)
    assert rates(COSTS) == "hashes 50/s, decode 300/s, read 1,000/s a core"


def test_costs_go_into_metrics_and_back() -> None:
    done = Backfilled(
        TableRef(uri="t", version=1), num_rows=1000, num_failed=0, num_reused=0, num_bytes=COSTS.num_bytes,
        cpu_s={line.name: line.cpu_s for line in COSTS.lines}, num_computed={line.name: line.num_rows for line in COSTS.lines},
    )  # fmt: skip
    metrics = costs(done, "curate")
    assert metrics["curate/decode_rows"] == 900
    assert costs_in({**metrics, "curate/kept_images": 5.0, "encode/read_cpu_s": 1.0}, "curate") == COSTS
    assert costs_in(metrics, "encode") is None


def test_nothing_measured_is_no_cost_rather_than_a_cost_of_nothing() -> None:
    nothing = Backfilled(TableRef(uri="t", version=1), 0, 0, 0, cpu_s={}, num_computed={}, num_bytes=0)
    assert costs(nothing, "curate") == {}
    assert costs_in({"curate/kept_images": 3.0}, "curate") is None
    assert rates(None) == ""
