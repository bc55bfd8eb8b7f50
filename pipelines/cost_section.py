"""What measuring took, as a section of a page: every stage beside the others, and what a billion rows would take."""

from typing import NamedTuple

from curation.costs import BILLION, Costs
from eval.document import about, stack, table
from eval.markup import Markup, tag
from eval.page_tables import size


class Spent(NamedTuple):
    """What measuring took."""

    costs: Costs
    measured: str
    """When, if it was another run; "" for this one."""


def cost_section(spent: Spent | None) -> Markup:
    """A table of stages, and in words what its figures hold for."""
    if spent is None:
        return tag("p", "Nothing was measured by this run, and no run on record has measured this table.")
    costs, total = spent.costs, spent.costs.total
    most = max((line.ms_a_row for line in costs.lines), default=0.0)
    rows = [
        tag("tr", tag("td", line.name), tag("td", stack([("time", line.ms_a_row / most if most else 0.0)]), class_="wide"),
            *(tag("td", text) for text in (f"{line.num_rows:,}", f"{line.cpu_s:,.1f}", f"{line.ms_a_row:.2f}",
                                           f"{line.rows_a_cpu_s:,.0f}", f"{line.cpu_hours(BILLION):,.0f}")))
        for line in costs.lines
    ]  # fmt: skip
    summed = ("all", "", f"{total.num_rows:,}", f"{total.cpu_s:,.1f}", f"{costs.ms_a_row:.2f}",
              f"{1000 / max(costs.ms_a_row, 1e-9):,.0f}", f"{costs.cpu_hours(BILLION):,.0f}")  # fmt: skip
    rows.append(tag("tr", *(tag("td", text) for text in summed), class_="sum"))
    heads = ("stage", "CPU time a row", "rows", "CPU s", "ms a row", "rows/s a core", "CPU hours for 10⁹")
    when = f"Nothing was measured by this run; these are the figures of the run of {spent.measured}. " if spent.measured else ""
    meaning = (
        f"{when}{size(costs.num_bytes) or '0 B'} were read, {size(round(costs.bytes_a_row)) or '0 B'} a row. Decoding is "
        f"{costs.decode_share:.0%} of all CPU time: 100 % would be as fast as measuring decoded pictures can be. Hours are "
        "what was measured times 10⁹, for the same mix of pictures on the same processors, without starting workers, waiting for "
        "storage, and deciding; what an hour costs is not known here."
    )
    return about(meaning, table([tag("th", head, class_="left" if place == 1 else "") for place, head in enumerate(heads)], rows))
