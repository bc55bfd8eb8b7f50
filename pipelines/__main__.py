"""The ``seedbed`` command: one closed table of jobs, each imported only when it is asked for.

A job module has a configuration class and ``run(config, session)``, and may have ``outlook(config)``, lines that a dry run shows;
a command module (no configuration, nothing recorded) has
``command(arguments, settings) -> exit code``. Recipes are functions in ``pipelines/recipes/<job>.py`` that return a whole
configuration.
"""

import argparse
import ast
import errno
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple, cast, get_type_hints

if TYPE_CHECKING:
    from pydantic import BaseModel

    from infra.session import Session
    from infra.storage import Workspace

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


class Job(NamedTuple):
    """One row of the table."""

    module: str
    help: str
    default_root: str = "runs/work"
    is_command: bool = False
    has_outlook: bool = False


JOBS: dict[str, Job] = {
    "ingest": Job("pipelines.ingest", "pictures with their texts and licences into the images table"),
    "curate": Job("pipelines.curate", "measure every picture, then keep, drop or quarantine it"),
    "caption": Job("pipelines.caption", "three levels of captions, English and Chinese"),
    "pairs": Job("pipelines.pairs", "edit and composition pairs, with the pictures they need"),
    "select": Job("pipelines.select", "choose the rows that a training run may see"),
    "sweep": Job("pipelines.sweep", "compare many ways to decide, on one page"),
    "fit": Job("pipelines.fit", "train; RECIPE: autoencoder, contrastive, generator, …", has_outlook=True),
    "encode": Job("pipelines.encode", "latents of the selected pictures, as a column"),
    "evaluate": Job("pipelines.evaluate", "score generated pictures against real ones and noise"),
    "promote": Job("pipelines.promote", "make a bundle the champion if its scores allow"),
    "serve": Job("pipelines.serve.job", "answer HTTP requests with the champion; a page to try it"),
    "demo": Job("pipelines.demo", "all of the above in one go, with a report", default_root="runs/demo"),
    "why": Job("pipelines.why", "ID: everything known of one row", is_command=True),
    "where-used": Job("pipelines.where_used", "SOURCE|ID: what saw a row, or any row of a source", is_command=True),
    "takedown": Job("pipelines.takedown", "erase pictures and all made from them, prove it, keep them out", is_command=True),
    "search": Job("pipelines.search", "WORDS: find pictures by words, a picture or a scenario", is_command=True),
    "label": Job("pipelines.label", "export or import labels; refit; write the score as a column", is_command=True),
    "lineage": Job("pipelines.lineage", "FILE: from a generated picture back to its sources", is_command=True),
    "doctor": Job("pipelines.doctor", "check this installation", is_command=True),
    "bench": Job("pipelines.bench.command", "NAME: measure speed beside peers", is_command=True),
}

SOURCES_WITH_A_PLACE: dict[str, str] = {
    "folder": "PATH", "s3": "BUCKET/PREFIX", "webdataset": "PATH", "parquet": "PATH", "huggingface": "PATH", "lance": "URI",
    "urls": "FILE", "pdf": "PATH",
}  # fmt: skip
"""Kinds of sources with the place that is given after them; everything else about them is set by ``--set source.…``."""

_OPTIONS = """\
  --set path=value  change one setting; may be repeated (--dry-run shows them)
  --from FILE       take the configuration from a saved YAML file, not a recipe
  --root DIR_OR_URI workspace [runs/work];  --dry-run  show the settings, stop
  --address ADDR    join this Ray cluster instead of a local one"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one job or command; the result is the exit code (2: something the user can put right, said in one line)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0 if words else EXIT_USER_ERROR
    try:
        return _run(words)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it was", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (ValueError, OSError) as error:
        line = _for_the_user(error)
        if line is None:
            raise
        print(f"seedbed: {line}", file=sys.stderr)
        return EXIT_USER_ERROR


def help_text() -> str:
    """The screen of ``seedbed --help``."""
    rows = [f"  {name:<9} {job.help}" for name, job in JOBS.items() if not job.is_command]
    commands = wrap(", ".join(name for name, job in JOBS.items() if job.is_command), 76)
    usage = "usage: seedbed JOB [RECIPE] [options]     (seedbed JOB --help: its recipes)"
    asks = ["Commands (seedbed COMMAND --help: what it does):", *(f"  {line}" for line in commands)]
    return "\n".join([usage, "Jobs, in the order of the chain:", *rows, *asks, "Options:", _OPTIONS])


def _run(words: list[str]) -> int:
    from infra.settings import set_library_defaults, settings_from_environment

    set_library_defaults()
    name = words[0]
    job = _job(name)
    flags, rest = _parser(name, job).parse_known_args(words[1:])
    settings = settings_from_environment(root=flags.root, address=flags.address, default_root=job.default_root)
    if job.is_command:
        return import_module(job.module).command(rest, settings)
    if rest:
        raise _user_error(f"unknown argument {rest[0]!r} for {name}; `seedbed {name} --help` shows what there is")
    from infra.session import open_session

    with open_session(settings) as session:
        config = _configuration(name, job, flags=flags, workspace=session.workspace)
        if flags.dry_run:
            print(_as_yaml(config), *_outlook(job, config), sep="", end="")
            return 0
        _run_job(job, config, session)
    return 0


def _run_job(job: Job, config: "BaseModel", session: "Session") -> None:
    from pipelines.job import Outcome

    outcome = import_module(job.module).run(config, session)
    if isinstance(outcome, Outcome):
        for name, value in outcome.outputs.items():
            print(f"{name}: {value}")


def _outlook(job: Job, config: "BaseModel") -> list[str]:
    """What the job will take, where it can tell, as comments of the settings."""
    return [f"# {line}\n" for line in import_module(job.module).outlook(config)] if job.has_outlook else []


def _job(name: str) -> Job:
    from difflib import get_close_matches

    if name in JOBS:
        return JOBS[name]
    near = get_close_matches(name, JOBS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`seedbed --help` lists them"
    raise _user_error(f"no job {name!r}; {hint}")


def _parser(name: str, job: Job) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"seedbed {name}",
        description=job.help,
        add_help=not job.is_command,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", metavar="DIR_OR_URI", help=f"workspace [{job.default_root}]")
    parser.add_argument("--address", metavar="ADDR", help="Ray cluster to join [a local one]")
    if job.is_command:
        return parser
    recipes = [f"  {recipe:<16} {line}" for recipe, line in _recipes(name)]
    parser.epilog = "\n".join(["recipes:", *recipes]) if recipes else None
    parser.add_argument("recipe", nargs="?", default="default", metavar="RECIPE", help="a recipe below, or module:function")
    parser.add_argument("--set", action="append", default=[], metavar="path=value", dest="assignments", help="change a setting")
    parser.add_argument("--from", metavar="FILE", dest="saved", help="configuration from a saved YAML file")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved configuration and stop")
    if name == "ingest":
        parser.add_argument(
            "--source",
            metavar="SOURCE",
            help="emoji, knowledge:COUNT, or KIND:PLACE, such as folder:PATH; KIND is one of " + ", ".join(SOURCES_WITH_A_PLACE),
        )
    if name == "sweep":
        parser.add_argument("--grid", action="append", default=[], metavar="path=v1,v2", help="vary a setting of the rules")
    if name == "serve":
        parser.add_argument("--host", help="address to listen on")
        parser.add_argument("--port", help="port to listen on")
    return parser


def _recipes(name: str) -> Iterator[tuple[str, str]]:
    """Names and first lines of a job's recipes (public functions of a workspace), read without importing them."""
    path = Path(__file__).with_name("recipes") / f"{name}.py"
    if not path.is_file():
        return
    functions = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    for node in functions:
        if [argument.arg for argument in node.args.args] == ["workspace"] and not node.name.startswith("_"):
            yield node.name, (ast.get_docstring(node) or "").partition("\n")[0]


def _configuration(name: str, job: Job, *, flags: argparse.Namespace, workspace: "Workspace") -> "BaseModel":
    from pipelines.overrides import apply, validated

    config = _saved(job, flags.saved) if flags.saved else _from_recipe(name, flags.recipe, workspace)
    assignments = list(flags.assignments)
    if name == "serve":
        assignments += [f"{key}={getattr(flags, key)}" for key in ("host", "port") if getattr(flags, key) is not None]
    if name == "sweep" and flags.grid:
        config = validated(type(config), {**config.model_dump(), "grid": [_axis(text) for text in flags.grid]})
    if name == "ingest" and flags.source:
        config = validated(type(config), {**config.model_dump(), "source": _source(flags.source)})
    return apply(config, assignments)


def _axis(text: str) -> dict[str, object]:
    path, separator, values = text.partition("=")
    if not separator or not path or not all(values.split(",")):
        raise _user_error(f"--grid {text!r} is not of the form path=v1,v2; give for example --grid drop.blurred.limit=2,5,10")
    return {"path": path, "values": values.split(",")}


def _source(text: str) -> dict[str, str]:
    kind, separator, path = text.partition(":")
    if kind in SOURCES_WITH_A_PLACE and path:
        return {"kind": kind, "path": path}
    if kind == "knowledge" and path:
        return {"kind": kind, "num_images": path}
    if kind == "emoji" and not separator:
        return {"kind": kind}
    kinds = ", ".join(f"{each}:{place}" for each, place in SOURCES_WITH_A_PLACE.items())
    raise _user_error(f"--source {text!r}; expected emoji, knowledge:COUNT, or one of {kinds}")


def _from_recipe(name: str, recipe: str, workspace: "Workspace") -> "BaseModel":
    module_name, _, function_name = recipe.rpartition(":")
    module_name = module_name or f"pipelines.recipes.{name}"
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        what = f"no module {module_name!r} to take the recipe {function_name!r} from"
        raise _user_error(f"{what}; give a recipe's name or module:function") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        known = ", ".join(each for each, _ in _recipes(name))
        raise _user_error(f"no recipe {function_name!r} in {module_name}; for {name} there are: {known}")
    return cast("BaseModel", function(workspace))


def _saved(job: Job, file: str) -> "BaseModel":
    import yaml

    from pipelines.overrides import validated

    path = Path(file)
    if not path.is_file():
        raise _user_error(f"--from {file}: no such file; records keep one as jobs/<job>-<digest>.yaml in the workspace")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise _user_error(f"--from {file}: not a YAML file ({str(error).splitlines()[0]})") from error
    if not isinstance(data, dict):
        raise _user_error(f"--from {file}: expected a mapping of settings, found {type(data).__name__}")
    return validated(get_type_hints(import_module(job.module).run)["config"], data)


def _as_yaml(config: "BaseModel") -> str:
    import yaml

    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _user_error(message: str) -> ValueError:
    from infra.errors import UserError

    return UserError(message)


def _for_the_user(error: BaseException) -> str | None:
    """What to tell the user, or None when the error is a defect of ours. Looks through Ray's wrapping of what a worker raised."""
    from pydantic import ValidationError

    from infra.errors import is_ours, one_line
    from pipelines.overrides import describe

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ValidationError):
            return describe(seen)
        if is_ours(seen):
            return one_line(seen)
        if isinstance(seen, OSError) and (seen.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(seen)):
            return "no disk space left; free some, or give another --root; the same command goes on where it was"
        if isinstance(seen, PermissionError):
            return f"no permission for {seen.filename}; give another --root or change the permission"
        seen = getattr(seen, "cause", None) or seen.__cause__
    return None


if __name__ == "__main__":
    sys.exit(main())
