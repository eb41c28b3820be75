"""The command line. Errors name what was wrong, where and what to do; exit codes are those of docs/architecture.md."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, NoReturn

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

BAD_USAGE, BROKEN_CONTRACT, TRAINING_FAILED, INTERRUPTED = 2, 3, 4, 5

Out = Annotated[Path, typer.Option("--out", help="New folder to write into.")]
Seed = Annotated[int, typer.Option(help="Every draw of the run follows from it.", min=0)]


class Language(StrEnum):
    """Of `reports.language.LANGUAGES`, which would take jinja2's time to ask at every `--help`."""

    ENGLISH = "en"
    TURKISH = "tr"
    CROATIAN = "hr"


class FileFormat(StrEnum):
    """File formats that images are written in."""

    DICOM = "dicom"
    NIFTI = "nifti"
    PNG = "png"


class Layout(StrEnum):
    """Where ingest looks for the diagnosis."""

    AUTO = "auto"
    CLASSES = "classes"
    MASKS = "masks"
    MANIFEST = "manifest"
    BIDS = "bids"
    DICOM = "dicom"


SOURCE_HELP = "A folder, a .csv or .parquet table, a zip or tar archive, s3://bucket/..., dicomweb+http://..."
Source = Annotated[str, typer.Argument(help=SOURCE_HELP)]
KeyFile = Annotated[
    Path | None, typer.Option(help="Names subjects by this key, in place of numbers; see --new-key of deidentify.")
]

Truncation = Annotated[float, typer.Option(min=0.01, max=1.0, help="Below 1: less variety, more typical images.")]


# Heavy imports stand inside the commands: `augment-mri --help` answers at once, and Prefect reads its
# settings when it is imported, so they must be in the environment before.


@app.callback()
def main_options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Synthetic brain MRI that hospitals can trust: train, generate, and measure honestly whether it helped."""
    context.obj = debug


@app.command()
def demo(out: Out = Path("runs/demo"), seed: Seed = 0, resume: bool = False) -> None:
    """The whole study on built-in head phantoms."""
    _study(source="demo", out=out, preset="demo", seed=seed, config=None, resume=resume)


@app.command()
def run(
    source: Source,
    out: Out,
    preset: Annotated[str, typer.Option(help="See `augment-mri presets`.")] = "quick",
    config: Annotated[Path | None, typer.Option(help="TOML file whose keys replace the preset's.")] = None,
    seed: Seed = 0,
    key_file: KeyFile = None,
    external_test: Annotated[
        str | None, typer.Option(help="Scans from elsewhere, opened once in a run, when the verdict stands.")
    ] = None,
    subjects: Annotated[
        int | None,
        typer.Option(
            min=1, help="Learn from so many subjects a fold, drawn by the seed; the rest of them stays unused."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the same run in OUT.")] = False,
) -> None:
    """The whole study: read, normalise, train a GAN per class, sample, judge, classify, report."""
    _study(
        source=source,
        out=out,
        preset=preset,
        seed=seed,
        config=config,
        resume=resume,
        key_file=key_file,
        external_test=external_test,
        subjects=subjects,
    )


def _study(
    *,
    source: str,
    out: Path,
    preset: str,
    seed: int,
    config: Path | None,
    resume: bool,
    key_file: Path | None = None,
    external_test: str | None = None,
    subjects: int | None = None,
) -> None:
    with _private_prefect():
        from flows.augment_mri import augment_mri, dated, open_run
        from flows.progress import console

        root = dated(str(out))
        toml, key = (str(path) if path else None for path in (config, key_file))
        # what is wrong with the call is said at once, before Prefect takes its ten seconds to start
        open_run(
            source=source,
            root=root,
            preset=preset,
            seed=seed,
            config=toml,
            external_test=external_test,
            subjects=subjects,
            resume=resume,
        )
        verdict = augment_mri(
            source=source,
            out=str(root),
            preset=preset,
            seed=seed,
            config=toml,
            key_file=key,
            external_test=external_test,
            subjects=subjects,
            resume=True,
        )
    console.print(f"Verdict: {verdict.replace('_', ' ')}. Report: {root / 'report.html'}", soft_wrap=True)


@contextmanager
def _private_prefect() -> Iterator[None]:
    """Prefect in this process with a database of its own that goes when the run ends: no server is needed or met."""
    home = tempfile.mkdtemp(prefix="augment-mri-prefect-")
    os.environ.pop("PREFECT_API_URL", None)
    os.environ.update(
        PREFECT_HOME=home,
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true",
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="180",  # 20 were too few beside a training
        PREFECT_LOGGING_LEVEL="CRITICAL",  # errors reach the user once, as one line, from main()
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
    )
    try:
        yield
    finally:
        shutil.rmtree(home, ignore_errors=True)


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="New folder to write into.")],
    subjects: Annotated[int, typer.Option(min=1, help="Half of them with a tumour.")] = 20,
    file_format: Annotated[FileFormat, typer.Option("--format")] = FileFormat.PNG,
    seed: Seed = 0,
) -> None:
    """Draw head phantoms with and without tumours, with the true masks."""
    from flows.progress import stage
    from pipeline.scans.phantom import write_phantoms

    with stage("Draw head phantoms", "subjects") as update:
        write_phantoms(out=out, subjects=subjects, format=file_format.value, seed=seed, progress=update)


@app.command()
def ingest(
    source: Source,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the dataset, new or to renew.")] = None,
    layout: Annotated[Layout | None, typer.Option(help="Where the diagnosis stands.")] = None,
    channel: Annotated[
        int | None, typer.Option(min=0, help="Which channel of a picture, or volume of a 4-D file; counted from 0.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file; its table `ingest` replaces single keys.")] = None,
    key_file: KeyFile = None,
    check: Annotated[bool, typer.Option(help="Dry run: say what would be used and what not; keep nothing.")] = False,
    locate: Annotated[str | None, typer.Option(help="Only say which file a record such as file-0117 is.")] = None,
    seed: Seed = 0,
) -> None:
    """Read scans into a dataset: manifest, quarantine, what wants a look, and decoded slices."""
    from flows import dataset
    from flows.errors import ConfigError
    from flows.progress import console

    chosen = dataset.ingest_config(file=config, layout=layout.value if layout else None, channel=channel)
    if locate is not None:
        typer.echo(dataset.locate_file(source, locate, chosen))
        return
    if check:
        findings = dataset.check(source=source, config=chosen, key_file=key_file, seed=seed)
        typer.echo("\n".join(findings.lines))
        if not findings.sound:
            raise typer.Exit(BROKEN_CONTRACT)
        return
    if out is None:
        raise ConfigError("say where the dataset goes with --out, or only look with --check")
    said = dataset.make(source=source, out=out, config=chosen, key_file=key_file, seed=seed)
    console.print(said, soft_wrap=True)


@app.command()
def deidentify(
    source: Annotated[Path, typer.Argument(help="Folder of DICOM files.")],
    out: Out,
    key_file: KeyFile = None,
    new_key: Annotated[Path | None, typer.Option(help="Write a new key to this file first, and use it.")] = None,
) -> None:
    """Copy MR DICOM files with nothing in them that identifies: an allow-list, keyed names, shifted dates."""
    from flows import dataset
    from flows.progress import console

    console.print(dataset.deidentify(source=source, out=out, key_file=key_file, new_key=new_key), soft_wrap=True)


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="What `augment-mri ingest` wrote.")],
    out: Out,
    diagnosis: Annotated[str, typer.Option(help="tumour or no_tumour.")] = "tumour",
    preset: Annotated[str, typer.Option(help="See `augment-mri presets`.")] = "quick",
    recipe: Annotated[str | None, typer.Option(help="In place of the preset's GAN; see `augment-mri presets`.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file whose keys replace the preset's.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="GPUs that share each batch; without a GPU, processes.")] = 1,
    seed: Seed = 0,
) -> None:
    """Train one GAN on all slices of one diagnosis; running it again goes on from its checkpoint."""
    from flows.config import load_config
    from flows.progress import stage
    from flows.single import train_model

    study = load_config(preset=preset, file=config, recipe=recipe)
    with stage(f"Train the {diagnosis} GAN", "images") as update:
        train_model(
            dataset=dataset,
            out=out,
            diagnosis=diagnosis,
            config=study,
            seed=seed,
            progress=update,
            devices=devices,
        )


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(help="Folder of one GAN, RUN/models/0/tumour, or of several, RUN/models/0.")],
    out: Out,
    seeds: Annotated[str | None, typer.Option(help="Numbers and ranges: 6600-6625 or 1,5,9.")] = None,
    count: Annotated[str | None, typer.Option(help="Instead: how many of each, tumour=100,no_tumour=50.")] = None,
    first_seed: Annotated[int, typer.Option(min=0, max=2**62, help="Where --count starts.")] = 0,
    truncation: Truncation = 1.0,
    file_format: Annotated[FileFormat, typer.Option("--format")] = FileFormat.PNG,
) -> None:
    """Sample synthetic slices, one a seed, with a manifest; several diagnoses each into a folder of its own."""
    from flows.progress import stage
    from flows.single import sample_model

    with stage("Sample", "images") as update:
        sample_model(
            model=model,
            out=out,
            seeds=seeds,
            count=count,
            first_seed=first_seed,
            truncation=truncation,
            file_format=file_format.value,
            progress=update,
        )


@app.command()
def interpolate(
    model: Annotated[Path, typer.Argument(help="Folder of a trained GAN, such as RUN/models/0/tumour.")],
    out: Annotated[Path, typer.Option(help="New film, .mp4 or .gif.")],
    seeds: Annotated[str, typer.Option(help="Where the walk leads, in order: 1000,1003,1001.")],
    steps: Annotated[int, typer.Option(min=1, help="Frames from one seed to the next.")] = 30,
    fps: Annotated[float, typer.Option(min=1, max=50, help="Frames a second.")] = 15,
    loop: Annotated[bool, typer.Option("--loop", help="Walk back to the first seed.")] = False,
    truncation: Truncation = 1.0,
    condition: Annotated[
        int | None, typer.Option(min=0, help="Hold this one, such as 0, the lowest slices; else each seed's own.")
    ] = None,
) -> None:
    """A walk through latent space from seed to seed, as a film."""
    from flows.progress import stage
    from flows.single import interpolate_model

    with stage("Walk", "frames") as update:
        interpolate_model(
            model=model,
            out=out,
            seeds=seeds,
            steps=steps,
            fps=fps,
            truncation=truncation,
            condition=condition,
            loop=loop,
            progress=update,
        )


@app.command()
def evaluate(
    real: Annotated[str, typer.Option(help=SOURCE_HELP)],
    synthetic: Annotated[str, typer.Option(help="Likewise, whoever made them.")],
    out: Annotated[Path, typer.Option(help="New JSON file.")],
    preset: Annotated[str, typer.Option(help="See `augment-mri presets`.")] = "quick",
    config: Annotated[Path | None, typer.Option(help="TOML file whose keys replace the preset's.")] = None,
    seed: Seed = 0,
) -> None:
    """Fidelity, diversity and copies of a synthetic set against a real one."""
    from flows import evaluate as evaluation
    from flows.config import load_config
    from flows.progress import console

    scores = evaluation.evaluate(
        real=real, synthetic=synthetic, out=out, config=load_config(preset=preset, file=config), seed=seed
    )
    for line in evaluation.lines(scores):
        console.print(line, soft_wrap=True)
    console.print(f"All figures: {out}", soft_wrap=True)


@app.command()
def report(
    run_folder: Annotated[Path | None, typer.Argument(metavar="RUN", help="Folder of a finished run.")] = None,
    index: Annotated[
        Path | None, typer.Option(metavar="RUNS", help="Instead of RUN: one page over all runs below this folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Instead of RUN/report.html or RUNS/index.html.")] = None,
    lang: Annotated[Language, typer.Option(help="Of the page.")] = Language.ENGLISH,
) -> None:
    """Render the report of a finished run again, or an index of many runs; needs no torch."""
    from flows.errors import ConfigError
    from flows.index import write_index
    from flows.report import report_again

    if index is not None and run_folder is None:
        page = write_index(index, out, lang=lang)
    elif run_folder is not None and index is None:
        page = report_again(run_folder, out, lang=lang)
    else:
        raise ConfigError("name one of the two: the folder of a finished run, or with --index one that holds runs")
    typer.echo(page)


reader_study = typer.Typer(no_args_is_help=True, help="Can readers tell synthetic slices from real ones?")
app.add_typer(reader_study, name="reader-study")


@reader_study.command("score")
def score_reader_study(
    answers: Annotated[list[Path], typer.Argument(help="Files that readers exported from the page, one a reader.")],
    run_folder: Annotated[Path, typer.Option("--run", metavar="RUN", help="The finished run whose page they read.")],
) -> None:
    """Score readers' answers together, and put what they could tell into RUN's report."""
    from flows.progress import console
    from flows.reader_study import line, score_answers

    study = score_answers(answers, run_folder)
    console.print(f"{line(study)} Report: {run_folder / 'report.html'}", soft_wrap=True)


@reader_study.command("draw")
def draw_reader_study(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    slices: Annotated[int, typer.Option(min=8, max=400, help="At most so many, half of them synthetic.")] = 40,
    again: Annotated[
        bool, typer.Option("--again", help="In place of those there: answers to them are refused.")
    ] = False,
) -> None:
    """Draw the slices of a run's reader study; a study draws its own, so this is for other numbers and older runs."""
    from flows.progress import console
    from flows.reader_slices import draw_again

    told = draw_again(run_folder, most=slices, again=again).reader_slices
    console.print(
        f"{len(told.names) if told else 0} slices drawn. Report: {run_folder / 'report.html'}", soft_wrap=True
    )


@app.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 4200,
    nightly_source: Annotated[str, typer.Option(help="Folder of scans, or `demo`: the phantoms.")] = "demo",
    nightly_out: Annotated[str, typer.Option(help="Run folder; {date} becomes the run's own.")] = "runs/nightly-{date}",
    nightly_preset: Annotated[str, typer.Option(help="See `augment-mri presets`.")] = "smoke",
    cron: Annotated[str, typer.Option(help="When `augment-mri/nightly` runs.")] = "0 2 * * *",
    timezone: Annotated[str, typer.Option(help="Time zone of the schedule.")] = "UTC",
) -> None:
    """A local Prefect server with both deployments and a worker for them, until interrupted."""
    from flows.serve import serve_deployments

    serve_deployments(
        port=port,
        cron=cron,
        timezone=timezone,
        nightly={"source": nightly_source, "out": nightly_out, "preset": nightly_preset},
    )


@app.command()
def presets(name: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None) -> None:
    """What presets there are, and recipes for `train`."""
    from flows.config import PRESETS, preset_text
    from pipeline.synthesis import recipes

    if name is not None:
        typer.echo(preset_text(name))
        return
    for preset in PRESETS:
        first_line = preset_text(preset).splitlines()[0]
        typer.echo(f"{preset:<14}{first_line.removeprefix('# ')}")
    typer.echo("\nrecipes, for `augment-mri train --recipe`:")
    for recipe in recipes.NAMES:
        typer.echo(f"{recipe:<14}{recipes.whose(recipe)}")


@app.command()
def doctor() -> None:
    """What this machine can do."""
    from flows.doctor import findings

    for subject, finding in findings().items():
        typer.echo(f"{subject:<12}{finding}")


class Interrupted(BaseException):
    """The user or the system stopped us. Not a KeyboardInterrupt, which typer would turn into its own exit code."""


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    sys.exit(code)


def main() -> None:
    """Run the command line and turn every known failure into one line and its exit code."""
    # Before anything imports Prefect: hospitals are air-gapped, nothing may try to call home.
    os.environ.update(PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
    except Interrupted:
        _fail(
            "interrupted; what was finished is kept: add --resume to go on (ingest and train: run the same again)",
            INTERRUPTED,
        )
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        code = _exit_code(error)
        if code is not None:
            _fail(str(error), code)
        # the text of an unknown error may hold names from the source, so it is shown only where asked for
        said = f": {os.strerror(error.errno)}" if isinstance(error, OSError) and error.errno else ""
        _fail(f"unexpected {type(error).__name__}{said}; run `augment-mri --debug ...` to see where", 1)


_EXIT_CODES: Final = {  # by name, so that none is imported to be asked for: a report is drawn without torch
    "flows.errors.ConfigError": BAD_USAGE,
    "data_contracts.violations.ContractError": BROKEN_CONTRACT,
    "pipeline.synthesis.gan.TrainingFailed": TRAINING_FAILED,
    "pipeline.synthesis.model_dir.ModelError": TRAINING_FAILED,
}


def _exit_code(error: Exception) -> int | None:
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
    return next((_EXIT_CODES[name] for name in names if name in _EXIT_CODES), None)
