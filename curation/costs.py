"""What measuring took, and what it would take for more: CPU time a row, what part of it decoding is, hours for a billion rows.

Projections multiply what was measured: the same mix of pictures on the same processors, and nothing for starting workers, waiting
for storage or deciding. They are CPU hours; what an hour costs is not known here.
"""

from collections.abc import Sequence
from typing import NamedTuple

BILLION = 10**9


class Cost(NamedTuple):
    """What one stage took: "read", "decode", or a signal."""

    name: str
    cpu_s: float
    num_rows: int
    """Rows that it was spent on."""

    @property
    def ms_a_row(self) -> float:
        """CPU milliseconds for each row; 0 for none."""
        return 1000 * self.cpu_s / self.num_rows if self.num_rows else 0.0

    @property
    def rows_a_cpu_s(self) -> float:
        """Rows that one busy core gets through in a second; 0 when no time was measured."""
        return self.num_rows / self.cpu_s if self.cpu_s > 0 else 0.0

    def cpu_hours(self, num_rows: int) -> float:
        """CPU hours for so many rows."""
        return self.ms_a_row * num_rows / 3.6e6


class Costs(NamedTuple):
    """What measuring took in all."""

    lines: tuple[Cost, ...]
    num_bytes: int
    """Bytes of the rows that were read."""

    @property
    def total(self) -> Cost:
        """All stages together, for as many rows as were read."""
        return Cost("all", sum(line.cpu_s for line in self.lines), self._rows("read"))

    @property
    def decode_share(self) -> float:
        """Decoding's part of all CPU time: 1 would be as fast as any measuring of decoded pictures can be; 0 without pictures."""
        decoding = sum(line.cpu_s for line in self.lines if line.name == "decode")
        return decoding / self.total.cpu_s if self.total.cpu_s > 0 else 0.0

    @property
    def bytes_a_row(self) -> float:
        """Bytes read for each row."""
        return self.num_bytes / max(self._rows("read"), 1)

    @property
    def ms_a_row(self) -> float:
        """CPU milliseconds for a row that needs every stage."""
        return sum(line.ms_a_row for line in self.lines)

    def cpu_hours(self, num_rows: int) -> float:
        """CPU hours for so many rows that need every stage."""
        return self.ms_a_row * num_rows / 3.6e6

    def _rows(self, name: str) -> int:
        return sum(line.num_rows for line in self.lines if line.name == name)


def rates(costs: Costs | None) -> str:
    """Rows a second on one core, by stage and the slowest first: "features 81/s, decode 310/s"; "" when nothing was measured."""
    lines: Sequence[Cost] = () if costs is None else costs.lines
    ordered = sorted((line for line in lines if line.cpu_s > 0), key=lambda line: line.rows_a_cpu_s)
    return ", ".join(f"{line.name} {line.rows_a_cpu_s:,.0f}/s" for line in ordered) + (" a core" if ordered else "")
