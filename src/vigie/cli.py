"""The `vigie` command: words in, calls of the stages' functions, one line for an error that a person can mend.

What a command needs is imported inside it, so that `vigie --help` is quick and a camera machine needs no TensorFlow.
"""

# ruff: noqa: PLC0415

import json
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from vigie.benchmark.cli import benchmark_command
from vigie.errors import BadSetting, Unavailable, VigieError
from vigie.streaming.cli import app as stream_app
from vigie.streaming.cli import predict_command
from vigie.zoo.cli import app as models_app

app = typer.Typer(
    name="vigie",
    help="From annotated pictures to a detector, from the detector to live cameras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
data_app = typer.Typer(no_args_is_help=True, help="Pictures to records.")
kafka_app = typer.Typer(no_args_is_help=True, help="A single-node Apache Kafka on loopback, for trying things out.")
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")
app.add_typer(stream_app, name="stream")
app.add_typer(kafka_app, name="kafka")
app.command("predict")(predict_command)
app.command("benchmark")(benchmark_command)

Json = Annotated[bool, typer.Option("--json", help="Print the result for a machine.")]
ExperimentFile = Annotated[Path, typer.Option(help="A YAML file, see config/experiments/.", show_default=True)]
INTERRUPTED = 130
DEMO = Path("config/experiments/demo.yaml")


class PartName(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class StepName(StrEnum):
    DATA = "data"
    TRAIN = "train"
    EVALUATE = "evaluate"
    EXPORT = "export"


def main() -> None:
    """The entry of the console script."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        app()
    except VigieError as error:
        sys.stderr.write(f"vigie: {error}\n")
        sys.exit(1)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # what typer makes of Ctrl-C
            sys.stderr.write("\nvigie: interrupted; the same command goes on where it stood\n")
        raise
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "vigie":
            raise
        sys.stderr.write(f"vigie: {Unavailable(_missing(error.name))}\n")
        sys.exit(1)


def _missing(package: str) -> str:
    return f"this command needs the package {package!r}, which is not installed; pip install 'vigie[train]' brings it"


def say(result: dict[str, Any], *, as_json: bool) -> None:
    """A result on standard output: a line a value, or one line of JSON."""
    if as_json:
        typer.echo(json.dumps(result))
        return
    for name, value in result.items():
        typer.echo(f"{name}: {value}")


@data_app.command("synth")
def data_synth(
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    pictures: Annotated[int, typer.Option(min=1)] = 800,
    seed: Annotated[int, typer.Option(help="Another seed draws another set.")] = 1,
) -> None:
    """Draw a set of cartoon faces with, without and with a badly worn mask, as Pascal VOC.

    Example: `vigie data synth /tmp/faces --pictures 200 --seed 7`
    """
    from vigie.data.synthetic import write_set

    say({"pictures": str(write_set(out, pictures=pictures, seed=seed))}, as_json=False)


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(help="A folder of annotated pictures: Pascal VOC, COCO or YOLO.")],
    experiment: Annotated[
        Path | None, typer.Option(help="A YAML file: its classes and input size are checked.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one finding a line for a machine.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with pictures and boxes to this file.")] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            help="Also write a repaired copy to this folder, as Pascal VOC whatever the set is; the set is not touched."
        ),
    ] = None,
) -> None:
    """Examine annotated pictures for all that spoils a training; exit code 1 only when there is an error.

    Example: `vigie data check ../facemask --experiment config/experiments/facemask.yaml`
    """
    from vigie.data.doctor.check import examine
    from vigie.data.doctor.page import write_page
    from vigie.data.doctor.reading import read_set
    from vigie.data.doctor.repair import write_repaired
    from vigie.data.doctor.text import as_text
    from vigie.experiment import ModelSpec, load_experiment

    asked = load_experiment(experiment) if experiment is not None else None
    model = asked.model if asked is not None else ModelSpec()
    data = read_set(folder, progress=True)
    report = examine(
        data,
        classes=asked.classes if asked is not None else None,
        input_size=(model.input_width, model.input_height),
        anchors=model.anchors,
        resize=model.resize,
    )
    if html is not None:
        write_page(report, data, folder, html)
    if fix is not None:
        done = write_repaired(data, folder, fix, classes=asked.classes if asked is not None else None)
        left_out = len(done.left_out)
        logging.info(
            "repaired, as Pascal VOC: pictures=%d objects=%d left_out=%d copy=%s",
            done.pictures,
            done.objects,
            left_out,
            fix,
        )
    if as_json:
        for found in report.findings:
            typer.echo(json.dumps(found.to_json()))
    else:
        typer.echo(as_text(report))
    if report.errors:
        raise typer.Exit(1)


@data_app.command("propose")
def data_propose(
    folder: Annotated[Path, typer.Argument(help="A folder of annotated pictures: Pascal VOC, COCO or YOLO.")],
    out: Annotated[Path | None, typer.Option(help="The YAML file to write, instead of printing it.")] = None,
) -> None:
    """Propose an experiment from the pictures: classes, input size, anchors, steps, each with its reason.

    Example: `vigie data propose ../facemask --out config/experiments/mine.yaml`
    """
    from vigie.data.propose import propose
    from vigie.whole import write_whole

    if out is not None and out.exists():
        raise BadSetting(f"{out}: is there already; name another file, or remove it")
    text = propose(folder).to_yaml()
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_whole(out, text)
        say({"experiment": out}, as_json=False)


@data_app.command("prepare")
def data_prepare(
    voc: Annotated[Path, typer.Argument(help="A folder of annotated pictures: Pascal VOC, COCO or YOLO.")],
    out: Annotated[Path, typer.Option(help="The folder to make: records, label map, CSVs, manifest.")],
    experiment: ExperimentFile = DEMO,
    as_json: Json = False,
) -> None:
    """Turn annotated pictures into TFRecord parts for training, validation and test.

    Example: `vigie data prepare ../facemask --experiment config/experiments/facemask.yaml --out /tmp/records`
    """
    from vigie.data.prepare import prepare
    from vigie.experiment import load_experiment

    asked = load_experiment(experiment)
    manifest = prepare(voc, out, classes=asked.classes, split=asked.split)
    say(manifest.model_dump(mode="json"), as_json=True) if as_json else say({"records": out}, as_json=False)


@data_app.command("fetch")
def data_fetch(
    source: Annotated[
        str, typer.Argument(help="kaggle:OWNER/NAME[/versions/N], an http(s) address, a folder or an archive.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    sha256: Annotated[
        str | None, typer.Option(help="Refuse an archive (of Kaggle or a folder: its files) of another checksum.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Fetch although the folder is there, and replace it.")] = False,
    as_json: Json = False,
) -> None:
    """Bring a data set from Kaggle, an address, a folder or an archive; its checksum is kept in fetched.json.

    Example: `vigie data fetch kaggle:andrewmvd/face-mask-detection --out ../facemask`
    """
    from vigie.data.fetch.fetch import advice, fetch

    done = fetch(source, out, sha256=sha256, again=again)
    if as_json:
        say({"folder": str(out), **done.model_dump(mode="json")}, as_json=True)
        return
    facts = {"folder": out, "files": done.files, "bytes": done.bytes, "sha256": done.sha256, "found": advice(out)}
    say(facts, as_json=False)


@data_app.command("export")
def data_export(
    source: Annotated[
        Path, typer.Argument(help="Annotated pictures (Pascal VOC, COCO, YOLO) or a folder of TFRecords.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to make: images/, Annotations/, predefined_classes.txt.")],
) -> None:
    """Write a set as Pascal VOC, to be corrected in LabelImg and read back with the very same boxes.

    Example: `vigie data export runs/demo/data --out /tmp/faces`
    """
    from vigie.data.export_voc import export_voc

    done = export_voc(source, out)
    facts = {"folder": out, "pictures": done.pictures, "objects": done.objects,
             "unlabelled": done.unlabelled, "renamed": len(done.renamed)}  # fmt: skip
    say(facts, as_json=False)


@data_app.command("unpack")
def data_unpack(
    records: Annotated[Path, typer.Argument(help="A folder with *.record or *.tfrecord and label_map.pbtxt.")],
    out: Annotated[Path, typer.Option(help="The folder to make: Pascal VOC.")],
) -> None:
    """Turn TFRecords of the TF Object Detection API back into pictures and label files.

    Example: `vigie data unpack ../old/annotations --out ../faces`
    """
    from vigie.data.unpack import unpack

    say({"pictures": unpack(records, out)}, as_json=False)


@app.command("train")
def train_command(
    data: Annotated[Path, typer.Option(help="Records that `vigie data prepare` made.")],
    out: Annotated[Path | None, typer.Option(help="The run to make or to go on with.")] = None,
    experiment: ExperimentFile = DEMO,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the experiment's own.")] = None,
    overfit: Annotated[
        int | None,
        typer.Option(min=1, help="Only see whether it learns so many pictures by heart, in five minutes."),
    ] = None,
) -> None:
    """Train a detector; an interrupted training goes on where its last checkpoint stands.

    With `--overfit 10`, the first thing to run when mAP stays 0, it tells which part does not learn, and exits with 1
    where one does not.

    Example: `vigie train --experiment config/experiments/facemask.yaml --data /tmp/records --out runs/first`
    """
    if overfit is not None:
        _overfit(data, experiment, overfit)
        return
    from vigie.runs import open_run
    from vigie.training.train import train

    if out is None:
        raise BadSetting("--out: names the run to make or to go on with, such as --out runs/first")
    trained = train(open_run(out, experiment=experiment, records=data, steps=steps))
    facts = {"run": out, "steps": trained.steps, "seconds": round(trained.seconds)}
    say({**facts, "best step": trained.step, "its mAP on validation": trained.best_map}, as_json=False)


def _overfit(data: Path, experiment: Path, pictures: int) -> None:
    from vigie.experiment import load_experiment
    from vigie.training.overfitting.overfit import overfit

    verdict = overfit(data, load_experiment(experiment), pictures=pictures)
    typer.echo(verdict.as_text())
    if not verdict.learns:
        raise typer.Exit(1)


@app.command("train-config")
def train_config_command(
    config: Annotated[Path, typer.Argument(help="A pipeline.config of the TF Object Detection API, of an SSD.")],
    out: Annotated[Path, typer.Option(help="The experiment to write.")],
    label_map: Annotated[Path | None, typer.Option(help="Instead of the label map that the file names.")] = None,
    name: Annotated[str | None, typer.Option(help="The experiment's; else that of the file to write.")] = None,
) -> None:
    """Turn a pipeline.config into an experiment, and print what has no counterpart.

    Example: `vigie train-config ../old/pipeline.config --out config/experiments/mine.yaml`
    """
    from vigie.training.pipeline_config.translate import as_line, experiment_name, read_pipeline_config
    from vigie.whole import write_whole

    if out.exists():
        raise BadSetting(f"{out}: is there already; name another file, or remove it")
    read = read_pipeline_config(config, name=name or experiment_name(out), label_map=label_map)
    write_whole(out, read.to_yaml())
    for heading, notes in (("not quite the same", read.approximate), ("without a counterpart", read.left)):
        typer.echo(f"{heading}: {len(notes)}")
        for note in notes:
            typer.echo(f"  {as_line(note)}")
    for part, paths in read.records.items():
        typer.echo(f"records of {part}: {', '.join(paths) or 'none'}")
    say({"experiment": out}, as_json=False)


@app.command("evaluate")
def evaluate_command(
    model: Annotated[Path, typer.Argument(help="A run, a model bundle's folder, or a model file of others.")],
    data: Annotated[Path, typer.Option(help="Prepared records, or a folder of annotated pictures.")],
    out: Annotated[Path, typer.Option(help="The folder for report.html, metrics.json and pictures.jsonl.")],
    part: Annotated[PartName, typer.Option(help="Of prepared records.")] = PartName.TEST,
    runtime: Annotated[
        str | None, typer.Option(help="Of a bundle: tflite, onnxruntime, openvino, saved_model, tf_serving.")
    ] = None,
    compare_with: Annotated[
        Path | None, typer.Option("--compare", help="Another run or bundle, measured on the same pictures.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on annotated pictures with COCO's metrics; report.html shows how good it is and where it fails.

    With `--compare` the difference stands there and in compare.json, with its 95 % interval and the pictures that
    make it.

    Example: `vigie evaluate models/demo --data runs/demo/data --out /tmp/report`
    """
    from vigie.settings import load_settings
    from vigie.training.evaluating.compare import compare, refuse_other_labels
    from vigie.training.evaluating.evaluation import evaluate
    from vigie.training.evaluating.measuring import detector_of, input_size_of, samples_of
    from vigie.training.evaluating.report import REPORT_FILE, write_report
    from vigie.training.plots import per_class

    settings = load_settings()
    detector = detector_of(model, runtime=runtime, settings=settings)
    other = None if compare_with is None else detector_of(compare_with, settings=settings)
    if other is not None:
        refuse_other_labels(detector.labels, other.labels)
    samples, pictures = samples_of(data, part.value)
    evaluation = evaluate(
        detector, samples, labels=detector.labels, max_pictures=pictures, input_size=input_size_of(model)
    )
    about = {"model": str(model), "data": str(data) if pictures is None else f"{data}, {part.value}"}
    compared = None
    if other is not None:
        samples, pictures = samples_of(data, part.value)
        compared = compare(evaluation, evaluate(other, samples, labels=other.labels, max_pictures=pictures))
        about["the other model"] = str(compare_with)
    samples, _ = samples_of(data, part.value)
    written = write_report(evaluation, out, samples=samples, compared=compared, about=about)
    if as_json:
        say(evaluation.to_json(), as_json=True)
    else:
        typer.echo(per_class(evaluation).round(3).to_string())
        say({"metrics": written, "report": out / REPORT_FILE}, as_json=False)


@app.command("export")
def export_command(
    run: Annotated[Path, typer.Argument(help="A run that was trained.")],
    out: Annotated[Path, typer.Option(help="The model's folder, such as models/NAME; a new version is made in it.")],
    precision: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Choose thresholds that reach it on validation; else those of the best F1."),
    ] = None,
    qat: Annotated[
        bool, typer.Option(help="Train on with the rounding of int8 where that file loses too much without.")
    ] = True,
    file: Annotated[
        list[str] | None, typer.Option(help="Export it alone, such as model_int8.tflite; may stand several times.")
    ] = None,
) -> None:
    """Export a run's checkpoint into a model bundle; a file that does not equal the checkpoint is left out.

    Each file is run by its own runtime on the validation pictures: size, mAP, the largest differences and milliseconds
    stand in the table and in gate.json. Exit code 1 where a file was refused.

    Example: `vigie export runs/demo --out models/demo --precision .9`
    """
    from vigie.export.export import export
    from vigie.runs import load_run

    exported = export(load_run(run), out, files=file or (), precision=precision, qat=qat)
    for refusal in exported.refused:
        sys.stderr.write(f"vigie: {refusal}\n")
    if exported.bundle is not None:
        say({"bundle": exported.bundle.folder}, as_json=False)
    if exported.refused or exported.bundle is None:
        raise typer.Exit(1)


@app.command("make")
def make_command(
    step: Annotated[StepName, typer.Argument(help="The last step that is wanted.")],
    name: Annotated[
        str, typer.Option(help="The run's; by default that of the pictures' folder or the experiment.")
    ] = "",
    experiment: Annotated[str, typer.Option(help="A YAML file.")] = "",
    voc: Annotated[str, typer.Option(help="A folder of annotated pictures: Pascal VOC, COCO or YOLO.")] = "",
    steps: Annotated[int, typer.Option(min=0, help="Training steps instead of the experiment's own; 0: its own.")] = 0,
) -> None:
    """Bring a run up to a step by executing its notebooks, those that are stale and no other.

    For pictures without an experiment, one is proposed from them and written into the run, to be edited.

    Example: `vigie make export --voc ../facemask --steps 200`
    """
    from vigie.notebooks import make

    run, executed = make(step.value, name=name, experiment=_from_here(experiment), voc=_from_here(voc), steps=steps)
    say({"run": run.folder, "executed": ", ".join(executed) or "nothing, all is up to date"}, as_json=False)


def _from_here(path: str) -> str:
    """What lies where the person stands is meant before what lies in the project."""
    here = Path(path).expanduser()
    return str(here.absolute()) if path and here.exists() else path


@app.command("demo")
def demo_command(
    seconds: Annotated[int, typer.Option(min=0, help="End after so long and judge what was seen; 0: stay.")] = 0,
) -> None:
    """Train on drawn faces and show a moving camera of others on the live page.

    Example: `vigie demo --seconds 30`
    """
    from vigie.demo import demo

    verdict = demo(seconds=seconds)
    if verdict is not None:
        typer.echo(str(verdict))


@kafka_app.command("start")
def kafka_start() -> None:
    """Start the broker, or say that it runs. KAFKA_BOOTSTRAP_SERVERS names another one instead.

    Example: `vigie kafka start`
    """
    from vigie.streaming.broker import start_local

    typer.echo(start_local())


@kafka_app.command("stop")
def kafka_stop() -> None:
    """End the broker that `vigie kafka start` started.

    Example: `vigie kafka stop`
    """
    from vigie.streaming.broker import stop_local

    typer.echo(stop_local())
