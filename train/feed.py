"""Batches for the loop: packs of the plan, made of fetched rows ahead of their use.

A thread makes the next steps while the current one computes. Where rows come from is a choice (`train.sources`); which rows, in
which order, and every random draw follow from the plan alone. Data wait, the time the loop stood still for want of a batch, is
measured on every step.

The plan is fixed, so nothing takes the place of a picture that cannot be decoded: the samples it is in contribute nothing to the
step's loss, whose mean is still over all that was planned. They are counted, and too many of them end the run.
"""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import compress
from typing import Annotated, Generic

from annotated_types import Ge, Gt, Lt
from pydantic import BaseModel
from torch import Tensor

from train.agenda import Agenda, Assigned, WorkerStep
from train.ahead import made_ahead
from train.fetch import Fetched, InProcessConfig, RowsConfig
from train.objectives.contract import B, Drawn, Objective, PackInput, StepInput
from train.plan import Pick, Plan, draw_key
from train.samples import Samples, UnusableTable
from train.sources import RowSource

logger = logging.getLogger(__name__)

_TARGETS_AT_ONCE, _MOST_TARGETS = 64, 4096
_JUDGED_FROM = 1_000
"""Samples before which the share of bad ones is taken as if there had been so many."""


class FeedConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How batches are made."""

    rows: RowsConfig = InProcessConfig()
    """Who fetches and decodes."""
    prefetch_steps: Annotated[int, Gt(0)] = 3
    """Steps made ahead."""
    max_bad_fraction: Annotated[float, Ge(0.0), Lt(1.0)] = 0.01
    """Share of a worker's samples that may have a picture that cannot be decoded; more of them end the run."""


class BadPictures(UnusableTable):
    """Too many samples have a picture that cannot be decoded."""


class Feed(Generic[B]):
    """A worker's input."""

    def __init__(
        self, samples: Samples, plan: Plan, objective: Objective[B], source: RowSource, *, config: FeedConfig
    ) -> None:  # fmt: skip
        self._samples, self._plan, self._objective, self._source, self._config = samples, plan, objective, source, config
        self._seen, self._bad = 0, 0
        self._named: set[int] = set()
        self._filler: PackInput[B] | None = None
        self._filler_tokens = 0

    def target_pictures(self) -> Iterator[list[Tensor]]:
        """Distinct targets that can be decoded, as the first stage sees them, in row order and in parts.

        They are all there are, or some `_MOST_TARGETS` evenly spaced: whoever looks, looks for statistics.

        Raises:
            UnusableTable: a row lacks a value.
        """
        targets, latents = self._samples.target_rows(), self._plan.config.latents[0]
        rows = targets[:: -(-len(targets) // _MOST_TARGETS)].tolist()
        for start in range(0, len(rows), _TARGETS_AT_ONCE):
            fetched = self._source.reader.fetch(rows[start : start + _TARGETS_AT_ONCE], latents=latents)
            self._require_values(fetched, latents)
            yield list(fetched.decoded.values())

    def steps(self, first_step: int, last_step: int, *, rank: int, num_workers: int) -> Generator[StepInput[B], None, None]:
        """Steps `first_step` to `last_step` (excluded) of one worker, in order; closing it ends what works ahead.

        Raises:
            ValueError: slots cannot be divided evenly among the workers.
            UnusableTable: a row lacks a value.
            BadPictures: more than `max_bad_fraction` of the samples cannot be decoded.
        """
        agenda = Agenda(self._plan, self._samples.picture_rows, rank=rank, num_workers=num_workers)
        made = made_ahead(self._made(agenda, range(first_step, last_step)), depth=self._config.prefetch_steps)
        with closing(made):
            for step_input, wait_s in made:
                if step_input.step == first_step:
                    logger.info("first batch", extra={"wait_s": wait_s, "step": first_step, "rank": rank})
                yield replace(step_input, wait_s=wait_s)

    def _made(self, agenda: Agenda, steps: range) -> Generator[StepInput[B], None, None]:
        with closing(self._source.steps(agenda, steps)) as fetching:
            for work, fetched in fetching:
                self._require_values(fetched, work.latents)
                yield self._step_input(work, fetched, rank=agenda.rank)

    def _step_input(self, work: WorkerStep, fetched: Fetched, *, rank: int) -> StepInput[B]:
        usable = [self._usable(pack, fetched, step=work.step) for pack in work.packs]
        counted = [pack.ranks is None or pack.ranks.start == rank for pack in work.packs]
        num_samples, num_left = (sum(len(pack.picks) for pack in compress(packs, counted)) for packs in (work.packs, usable))
        self._count(num_samples, num_samples - num_left, step=work.step)
        packs = [self._pack_input(pack, work, fetched) for pack in usable if pack.picks]
        self._find_filler(usable, work, fetched)
        return StepInput(
            step=work.step, packs=packs, filler=self._filler,
            num_rounds=work.num_rounds, num_samples=self._plan.config.batch_samples, num_tokens=work.whole.tokens,
            flops=work.whole.flops, wait_s=0.0, num_bad=num_samples - num_left,
        )  # fmt: skip

    def _find_filler(self, packs: Sequence[Assigned], work: WorkerStep, fetched: Fetched) -> None:
        """Keep the smallest sample of all steps by itself."""
        sizes = self._plan.sizes_at(work.step)
        picks = [pick for pack in packs for pick in pack.picks]
        tokens = [int(sizes.clean_tokens[pick.sample] + sizes.noisy_tokens[pick.sample]) for pick in picks]
        if picks and (self._filler is None or min(tokens) < self._filler_tokens):
            smallest = picks[tokens.index(min(tokens))]
            self._filler, self._filler_tokens = self._pack_input(Assigned((smallest,), None), work, fetched), min(tokens)

    def _usable(self, pack: Assigned, fetched: Fetched, *, step: int) -> Assigned:
        """The pack without samples that have a picture that cannot be decoded."""
        if not fetched.undecodable:
            return pack
        for row in fetched.undecodable.keys() - self._named:
            self._named.add(row)
            logger.warning("picture not decoded", extra={"row": row, "step": step, "cause": fetched.undecodable[row]})
        good = tuple(pick for pick in pack.picks if fetched.undecodable.keys().isdisjoint(self._samples.rows(pick.sample)))
        return pack._replace(picks=good)

    def _count(self, num_samples: int, num_bad: int, *, step: int) -> None:
        self._seen += num_samples
        self._bad += num_bad
        if self._bad > self._config.max_bad_fraction * max(self._seen, _JUDGED_FROM):
            raise BadPictures(
                f"{self._bad:,} of {self._seen:,} samples up to step {step:,} have a picture that cannot be decoded, of "
                f"{len(self._named):,} rows, row {min(self._named)} of {self._source.reader.place} first; feed.max_bad_fraction "
                f"allows {self._config.max_bad_fraction:.2%}: curate and select again, or raise it"
            )

    def _pack_input(self, pack: Assigned, work: WorkerStep, fetched: Fetched) -> PackInput[B]:
        units = sum(int(self._plan.sizes_at(work.step).noisy_tokens[pick.sample]) for pick in pack.picks)
        return PackInput(
            batch=self._objective.collate([self._drawn(pick, work.step, fetched) for pick in pack.picks]),
            share=units / work.whole.noisy_tokens, sample_ids=tuple(self._samples.id(pick.sample) for pick in pack.picks),
            ranks=pack.ranks,
        )  # fmt: skip

    def _drawn(self, pick: Pick, step: int, fetched: Fetched) -> Drawn:
        samples, number = self._samples, pick.sample
        target, *others = (fetched.decoded[row] for row in samples.rows(number))
        num_references = len(others) - samples.num_further(number)
        return Drawn(
            key=draw_key(self._plan.config.seed, epoch=pick.epoch, sample_id=samples.id(number), step=step),
            task=samples.task(number), texts=samples.texts(number), text_weights=samples.text_weights(number),
            score_text=samples.score_text(number), target=target,
            references=tuple(others[:num_references]), further=tuple(others[num_references:]),
            tags=samples.tags(number),
        )  # fmt: skip

    def _require_values(self, fetched: Fetched, latents: str) -> None:
        if fetched.empty:
            reader = self._source.reader
            raise UnusableTable(
                f"{len(fetched.empty)} selected rows of {reader.place} have no {' or '.join(reader.names(latents))}, row "
                f"{fetched.empty[0]} first; run the job that writes them (`seedbed encode` for latents) and train on its version"
            )
