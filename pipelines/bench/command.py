"""The ``bench`` command."""

import argparse
import datetime
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from infra.errors import UserError
from infra.provenance import hardware
from infra.settings import Settings
from pipelines.bench.result import BenchResult, Measured

BENCHES: dict[str, str] = {
    "packing": "how evenly a step falls on ranks, against padding, buckets and other packing; planning 10^7 samples",
    "feed": "pictures read shuffled and decoded, beside datasets, WebDataset and torch; how long a training waits for them",
    "sample": "a step of an edit with 1, 3 and 10 references, remembered, against running the clean tokens at every step",
    "step": "training step on packed samples, against diffusers' Z-Image and FLUX of our size (installs diffusers)",
    "flops": "operations of one picture at 1K, 2K and 4K, against a dual-stream transformer on f8 latents, lever by lever",
    "backfill": "a column killed half way and filled again, against lance_ray.add_columns",
    "curation": "files to decisions, beside Data-Juicer, img2dataset, cleanvision and Daft (installs them; an hour or so)",
    "autoencoder": "pictures of 64 to 1,024 px through latents and back (`--bundle`), beside bicubic and JPEG keeping as little",
    "decode": "a view for measuring, decoded at a fraction of the size, against whole pictures",
    "sweep": "a hundred recipes for deciding over a million rows, against each on its own",
    "dedup": "growth of time and memory with the number of hashes and features",
}

_OF_A_BUNDLE = ("autoencoder",)

_MODULES = {"curation": "curate"}
"""Modules that are not named like their benchmark: a file must not be named like a package of ours."""


def command(arguments: Sequence[str], settings: Settings) -> int:  # noqa: ARG001  commands are called alike
    """Run one benchmark, or all; prints a table, and writes JSON where asked."""
    about = "\n".join(f"  {name:<11} {line}" for name, line in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="seedbed bench",
        epilog=f"benchmarks:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="a benchmark below, or all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; ends within a minute")
    parser.add_argument("--bundle", type=Path, metavar="FOLDER", help="what is measured, in place of the embedded bundle")
    flags = parser.parse_args(arguments)
    if flags.name not in (*BENCHES, "all"):
        raise UserError(f"no benchmark {flags.name!r}; there are: {', '.join(BENCHES)}, all")
    if flags.bundle is not None and flags.name not in _OF_A_BUNDLE:
        raise UserError(f"--bundle is for benchmarks of a bundle, {', '.join(_OF_A_BUNDLE)}; leave it out of {flags.name!r}")
    given = {} if flags.bundle is None else {"bundle": flags.bundle}
    results = [_run(name, is_quick=flags.quick, **given) for name in (BENCHES if flags.name == "all" else [flags.name])]
    for result in results:
        print("\n".join(table_lines(result)))
    if flags.json is not None:
        lines = ",\n".join(result.model_dump_json(indent=2) for result in results)
        flags.json.write_text(f"[{lines}]\n" if flags.name == "all" else f"{lines}\n")
    return 0 if all(all(result.checks.values()) for result in results) else 1


def table_lines(result: BenchResult) -> list[str]:
    """The result as a table."""
    rows = [("", *result.ours), ("ours", *(f"{value:.4g}" for value in result.ours.values()))]
    for peer, values in result.peers.items():
        rows.append((peer, *(f"{values[name]:.4g}" if name in values else "-" for name in result.ours)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{result.bench}: {BENCHES[result.bench]}", f"  {result.date} · {result.hardware}"]
    lines += ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines += [f"  {name}: {value:.2f}x" for name, value in result.ratios.items()]
    return [*lines, *(f"  {'holds' if holds else 'FAILS'}: {name}" for name, holds in result.checks.items())]


def _run(name: str, *, is_quick: bool, **given: Path) -> BenchResult:
    run: Callable[..., Measured] = import_module(f"pipelines.bench.{_MODULES.get(name, name)}").run
    measured = run(is_quick=is_quick, **given)
    flags = [*(["--quick"] if is_quick else []), *(f"--{flag} {value}" for flag, value in given.items())]
    return BenchResult(
        bench=name, date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(), hardware=hardware(),
        command=" ".join(["seedbed bench", name, *flags]), **measured.model_dump(),
    )  # fmt: skip
