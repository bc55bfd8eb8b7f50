"""The selected samples, column by column: what the plan knows of them and what a batch is made of, but no pixels and no latents.

Samples stand in the order of their targets' rows in the pinned table, so that neighbours in a clump of the plan are neighbours on
disk. Ids are joined to rows a few million rows of the table at a time; in memory stay the columns of the selection as Arrow holds
them and some 40 bytes a sample, beside 8 bytes a reference.

n samples · p pictures · r references
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from typing import Literal, NamedTuple

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from curation.tables import LATENT, SELECTION_SCHEMA, Split, TableRef, open_table, pin
from curation.tasks import TASKS, Task
from models.glyphs import QUOTE_MARKS
from models.minilm import MINILM
from models.text import TextEncoderConfig, most_tokens
from train.agenda import RowLists, SampleRows
from train.plan import Sizes, Tokens

_ROWS_AT_ONCE, _CHUNK_ROWS = 1 << 22, 1 << 16
"""Of the table, joined at a time; of the selection, in one piece of memory."""

_KEPT = ["sample_id", "texts", "text_weights", "score_text", "tags"]

Unit = Literal["noisy tokens", "pictures"]


class UnusableTable(ValueError):
    """The table or selection cannot be trained on as it is."""


class _Pictures(NamedTuple):
    """Selected pictures in the pinned table."""

    rows: Int[np.ndarray, " p"]
    cells: tuple[Int[np.ndarray, " p"], ...]
    """Cells of the latent, column by column."""


class Samples:
    """The selected samples of one split, in the order of their targets' rows."""

    def __init__(
        self, chosen: pa.Table, *,
        picture_rows: SampleRows, sizes: Sizes,
    ) -> None:  # fmt: skip
        """Nothing is copied.

        Args:
            chosen: rows of the selection.
            picture_rows: their order is that of the samples, and says their places in `chosen`.
            sizes: in the order of the samples.
        """
        self.sizes = sizes
        self.picture_rows = picture_rows
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self.picture_rows.order)

    def id(self, number: int) -> str:
        """The sample's id."""
        return self._chosen["sample_id"][self._place(number)].as_py()

    def task(self, number: int) -> Task:
        """What the sample teaches."""
        return TASKS[int(self.sizes.tasks[number])]

    def rows(self, number: int) -> tuple[int, ...]:
        """Rows in ``images``: the target's, then the references', then those of further targets."""
        return self.picture_rows.of(number)

    def num_further(self, number: int) -> int:
        """How many targets follow the first."""
        return self.picture_rows.num_further(number)

    def texts(self, number: int) -> tuple[str, ...]:
        """What a model may be told."""
        return tuple(self._chosen["texts"][self._place(number)].as_py())

    def text_weights(self, number: int) -> tuple[float, ...]:
        """Probability of each text."""
        return tuple(self._chosen["text_weights"][self._place(number)].as_py())

    def score_text(self, number: int) -> str:
        """What the target shows."""
        return self._chosen["score_text"][self._place(number)].as_py()

    def tags(self, number: int) -> tuple[str, ...]:
        """What the target, or the way to it, is labelled with."""
        return tuple(self._chosen["tags"][self._place(number)].as_py())

    def all_texts(self) -> list[str]:
        """Every distinct text a model may be told or a result described by, sorted."""
        told = [chunk.flatten() for chunk in self._chosen["texts"].chunks]
        return sorted(pa.chunked_array([*told, *self._chosen["score_text"].chunks]).unique().to_pylist())

    def target_rows(self) -> Int[np.ndarray, " p"]:
        """Every distinct row of a target, sorted."""
        return np.unique(np.concatenate([self.picture_rows.targets, self.picture_rows.further.rows]))

    def _place(self, number: int) -> int:
        return int(self.picture_rows.order[number])


def load_samples(
    ref: TableRef, split: Split, *, unit: Unit, text_encoder: TextEncoderConfig | None = MINILM, max_letters: int = 0,
    latents: Sequence[str] = (LATENT,),
) -> Samples:  # fmt: skip
    """The samples of a selection, with their pictures' rows and sizes in the pinned table.

    Clean tokens are the most that a sample's longest text may take and the latent cells of its references and of all its targets
    but the last, noisy ones the latent cells of its targets; where pictures are counted, every sample is one noisy unit and no
    clean one.

    Args:
        text_encoder: what says how many tokens a text takes, where tokens are counted.
        max_letters: of a text with quotes, most that are tokens besides; 0 for none.
        latents: columns of latents, one for each resolution; the sizes are those of the first, and hold the others'.

    Raises:
        UnusableTable: there is no selection, or it names pictures that the table version does not hold, or holds no latent of.
        MissingTable: nothing is stored where the table or the selection should be, or a takedown closed it.
    """
    chosen = _chosen(ref, split)
    ids, numbers = _numbered(chosen)
    targets, references, further = numbers
    pictures = _pictures(open_table(ref), ids, latents if unit == "noisy tokens" else ())
    order = np.argsort(pictures.rows[targets], kind="stable")
    if unit == "pictures":
        tokens = [Tokens(np.zeros(len(order), dtype=np.int32), np.ones(len(order), dtype=np.int32))] * len(latents)
    else:
        assert text_encoder is not None, unit
        told = most_tokens(text_encoder, _longest_bytes(chosen["texts"]), np.diff(references.ends, prepend=0))
        if max_letters:
            told = told + np.minimum(max_letters, _longest_bytes(chosen["texts"], among=QUOTE_MARKS))
        counted = [_tokens(told, cells, *numbers) for cells in pictures.cells]
        tokens = [Tokens(*(counts[order].astype(np.int32) for counts in each)) for each in counted]
    sizes = Sizes(
        tasks=_tasks(chosen["task"], ref)[order], task_names=TASKS, weights=chosen["weight"].to_numpy()[order],
        clean_tokens=tokens[0].clean, noisy_tokens=tokens[0].noisy, latents=latents[0],
        others=dict(zip(latents[1:], tokens[1:], strict=True)),
    )  # fmt: skip
    lists = (RowLists(pictures.rows[each.rows], each.ends) for each in (references, further))
    return Samples(chosen.select(_KEPT), picture_rows=SampleRows(order, pictures.rows[targets], *lists), sizes=sizes)


def require_latents(ref: TableRef, digest: str, *, latents: str = LATENT) -> None:
    """Refuse latents that another autoencoder made.

    Args:
        digest: of the bundle whose latents are to be learnt.
        latents: column that they stand in.

    Raises:
        UnusableTable: a picture selected for training has a latent of another version, or none.
        MissingTable: see `load_samples`.
    """
    dataset, seen = open_table(ref), f"table {ref.uri} version {ref.version}"
    version, column = f"{latents}_version", "" if latents == LATENT else f" --set column={latents}"
    wanted = f"run `seedbed encode{column}` with the autoencoder of bundle {digest}, or train on that of the table"
    if version not in dataset.schema.names:
        raise UnusableTable(f"{seen} has no {version}, expected {digest}; {wanted}")
    is_its_own = f"({version} = '{digest}' OR {version} LIKE '{digest}.%')"  # at a size of its own, see `latent_schema`
    others = dataset.to_table(columns=["id", version], filter=f"{version} IS NULL OR NOT {is_its_own}")
    ids, _ = _numbered(_chosen(ref, "train"))
    others = others.filter(pc.is_in(others["id"], value_set=ids))
    if others.num_rows:
        first = others.sort_by("id").slice(0, 1).to_pylist()[0]
        raise UnusableTable(
            f"{others.num_rows} selected pictures of {seen} have {version} other than {digest}, {first['id']!r} first "
            f"with {first[version]}; {wanted}"
        )


def _chosen(ref: TableRef, split: Split) -> pa.Table:
    if ref.selection is None:
        raise UnusableTable(f"table {ref.uri} was given without a selection; run `seedbed select` and name its output")
    selection = open_table(pin(TableRef(uri=ref.selection)))
    if lacking := set(SELECTION_SCHEMA.names) - set(selection.schema.names):
        raise UnusableTable(f"selection {ref.selection} is of an older release and lacks {min(lacking)!r}; select again")
    chosen = selection.to_table(filter=f"split = '{split}'", batch_size=_CHUNK_ROWS)
    if not chosen.num_rows:
        raise UnusableTable(f"selection {ref.selection} has no rows of split {split!r}; widen it and select again")
    return chosen


def _numbered(chosen: pa.Table) -> tuple[pa.Array, tuple[Int[np.ndarray, " n"], RowLists, RowLists]]:
    """Every distinct id of a picture, and the places among them of targets, of references and of further targets."""
    lists = [chosen[name] for name in ("reference_ids", "further_ids")]
    flat = [chunk.flatten() for each in lists for chunk in each.chunks]
    encoded = pa.chunked_array([*chosen["target_id"].chunks, *flat]).dictionary_encode()  # one dictionary for all chunks
    numbers = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    ends = [np.cumsum(pc.list_value_length(each).to_numpy(), dtype=np.int64) for each in lists]
    targets, references, further = np.split(numbers, np.cumsum([len(chosen), ends[0][-1]]))
    return encoded.chunk(0).dictionary, (targets, RowLists(references, ends[0]), RowLists(further, ends[1]))


def _pictures(dataset: lance.LanceDataset, ids: pa.Array, latents: Sequence[str]) -> _Pictures:
    place = f"table {dataset.uri} version {dataset.version}"
    shapes = [f"{name}_shape" for name in latents]
    present = [name for name in shapes if name in dataset.schema.names]
    rows, cells = np.full(len(ids), -1), {name: np.zeros(len(ids), dtype=np.int64) for name in shapes}
    for start in range(0, dataset.count_rows(), _ROWS_AT_ONCE):
        part = dataset.to_table(columns=["id", *present], offset=start, limit=_ROWS_AT_ONCE)
        numbers = pc.index_in(part["id"], value_set=ids).fill_null(-1).to_numpy()
        found = np.flatnonzero(numbers >= 0)
        rows[numbers[found]] = start + found
        for name in present:
            cells[name][numbers[found]] = _cells(part[name])[found]
    if (absent := rows < 0).any():
        raise UnusableTable(f"{place} lacks {_counted(ids, absent)}; select again")
    for name, counts in cells.items():
        if (bare := counts == 0).any():
            raise UnusableTable(
                f"{place} has no {name} of {_counted(ids, bare)}; run `seedbed encode` and train on the version it writes"
            )
    return _Pictures(rows, tuple(cells.values()))


def _counted(ids: pa.Array, where: Bool[np.ndarray, " p"]) -> str:
    named = ids.filter(pa.array(where))
    return f"{len(named)} selected pictures, {pc.min(named).as_py()!r} first"


def _cells(shapes: pa.ChunkedArray) -> Int[np.ndarray, " p"]:
    """Cells of every latent (c, y, x), 0 where there is none."""
    return pc.multiply(pc.list_element(shapes, 1), pc.list_element(shapes, 2)).fill_null(0).to_numpy()


def _tokens(
    told: Int[np.ndarray, " n"], cells: Int[np.ndarray, " p"],
    targets: Int[np.ndarray, " n"], references: RowLists, further: RowLists,
) -> Tokens:  # fmt: skip
    """What the samples take where pictures have so many cells, in the order of the selection."""
    first = cells[targets]
    noisy = first + _sums(cells[further.rows], further.ends)
    seen_later = noisy - _lasts(cells[further.rows], further.ends, otherwise=first)
    return Tokens(told + _sums(cells[references.rows], references.ends) + seen_later, noisy)


def _sums(values: Int[np.ndarray, " r"], ends: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Of the values of every list."""
    return np.diff(np.concatenate([[0], np.cumsum(values)])[ends], prepend=0)


def _lasts(
    values: Int[np.ndarray, " r"], ends: Int[np.ndarray, " n"], *, otherwise: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """The last value of every list; what is given instead for those that have none."""
    found = otherwise.copy()
    is_filled = np.diff(ends, prepend=0) > 0
    found[is_filled] = values[ends[is_filled] - 1]
    return found


def _longest_bytes(texts: pa.ChunkedArray, *, among: str = "") -> Int[np.ndarray, " n"]:
    """UTF-8 bytes of the longest text of every sample.

    Args:
        among: a regular expression; texts that it finds nothing in count as empty.
    """
    longest = []
    for chunk in texts.chunks:
        part = np.zeros(len(chunk), dtype=np.int64)
        owners = np.repeat(np.arange(len(chunk)), pc.list_value_length(chunk).to_numpy())
        told = chunk.flatten()
        num_bytes = pc.binary_length(told).to_numpy()
        if among:
            num_bytes = num_bytes * pc.match_substring_regex(told, among).to_numpy(zero_copy_only=False)
        np.maximum.at(part, owners, num_bytes)
        longest.append(part)
    return np.concatenate(longest)


def _tasks(names: pa.ChunkedArray, ref: TableRef) -> Int[np.ndarray, " n"]:
    tasks = pc.index_in(names, value_set=pa.array(TASKS))
    if tasks.null_count:
        raise UnusableTable(
            f"selection {ref.selection} has {tasks.null_count} samples of tasks that are none of {', '.join(TASKS)}; select again"
        )
    return tasks.to_numpy().astype(np.int8)
