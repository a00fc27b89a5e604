"""From a run's best weights to the files of a bundle."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.bundle import FP16, FP32, INT8, ONNX, POSTPROCESS, SAVED_MODEL, Bundle, InputSpec, ModelFacts, OutputSpec
from vigie.code_version import code_version
from vigie.data.prepare import load_manifest, read_part
from vigie.decoding import Decoder
from vigie.errors import BadBundle, BadSetting
from vigie.pictures import Pixels
from vigie.progress import progress as progress_bar
from vigie.resizing import InputSize, resized
from vigie.runs import Run
from vigie.training.train import Trained

if TYPE_CHECKING:  # it imports TensorFlow, which has to be quietened first
    from vigie.export.files.raw_model import RawModel

FILES = (SAVED_MODEL, FP32, FP16, INT8, POSTPROCESS, ONNX)
"""What a run's model can be exported to."""

TRIAL_FOLDER = "trial"
TRIAL_PICTURES = 12
# A seed that no training set draws from: `MovingScene` has backgrounds of its own besides.
TRIAL_SCENE = "synthetic:seed=2026"


def chosen_files(names: Sequence[str]) -> tuple[str, ...]:
    """Of `FILES` those that are named, in that order; all without any.

    Raises:
        BadSetting: a name is none of them.
    """
    if unknown := sorted(set(names) - set(FILES)):
        raise BadSetting(f"there is no file {', '.join(unknown)} to export; there are: {', '.join(FILES)}")
    return tuple(file for file in FILES if file in names or not names)


def build_files(
    run: Run, trained: Trained, folder: Path, *, files: Sequence[str] = FILES, progress: bool = True
) -> ModelFacts:
    """Write the files of the run's model into `folder`. Calibrated is on pictures of the training part alone.

    Raises:
        BadRun: the weights do not fit.
        BadBundle: TensorFlow wrote no SavedModel.
    """
    # Here, for TensorFlow is quiet only when it is told so before its import.
    from vigie.training.evaluating.evaluation import EVALUATION_SCORE_THRESHOLD  # noqa: PLC0415
    from vigie.training.network.config import decoder  # noqa: PLC0415
    from vigie.training.network.model import raw_model  # noqa: PLC0415

    model = raw_model(run.experiment, trained.checkpoints, normalised_input=True)
    writers = _writers(run, model, folder, decoder(run.experiment, score_threshold=EVALUATION_SCORE_THRESHOLD))
    with progress_bar(files, description="building", unit="file", show=progress) as bar:
        for name in bar:
            bar.set_description(f"building {name}")
            writers[name]()
    if SAVED_MODEL in files and not (folder / SAVED_MODEL).is_file():
        raise BadBundle(f"{folder}: TensorFlow wrote no {SAVED_MODEL}")
    return _facts(run, trained, folder, default=FP32 if FP32 in files else files[0])


def write_int8_of(run: Run, model: "RawModel", path: Path) -> None:
    """An int8 file of a model; its ranges are those of pictures of the training part."""
    from vigie.export.files.metadata import add_metadata  # noqa: PLC0415
    from vigie.export.files.tflite import CALIBRATION_PICTURES, write_int8  # noqa: PLC0415

    spec = input_spec(run)
    size = InputSize(spec.width, spec.height, spec.resize)
    write_int8(model, path, spec, training_pixels(run, size, CALIBRATION_PICTURES))
    add_metadata(path, name=run.name, labels=run.experiment.classes, spec=spec, postprocess=False)


def input_spec(run: Run) -> InputSpec:
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB  # noqa: PLC0415

    spec = run.experiment.model
    return InputSpec(
        width=spec.input_width,
        height=spec.input_height,
        resize=spec.resize,
        mean_rgb=PIXEL_MEAN_RGB,
        std_rgb=PIXEL_STD_RGB,
    )


def training_pixels(run: Run, size: InputSize, most: int) -> list[Pixels]:
    """Pictures of the training part as the model sees them, spread evenly over it."""
    pictures = load_manifest(run.records).parts["train"].pictures
    step = max(1, pictures // most)
    return [resized(one.picture.rgb(), size) for one in islice(read_part(run.records, "train"), 0, step * most, step)]


def files_of(bundle: Bundle, file: str) -> list[str]:
    """What the file consists of, itself first; of a SavedModel its variables and assets too."""
    if file != SAVED_MODEL:
        return [file]
    inside = ("variables/", "assets/", "assets.extra/")
    return [file, *(name for name in bundle.manifest.files if name.startswith(inside) or name == "fingerprint.pb")]


def _writers(run: Run, model: "RawModel", folder: Path, decoding: Decoder) -> dict[str, Callable[[], None]]:
    # Here, for TensorFlow is quiet only when it is told so before its import.
    from vigie.export.files import onnx, saved_model, tflite  # noqa: PLC0415
    from vigie.export.files.metadata import add_metadata  # noqa: PLC0415

    spec = input_spec(run)

    def whole_saved_model() -> None:
        saved_model.write_saved_model(model, folder, spec, decoding)
        saved_model.write_warmup(folder, next(iter(read_part(run.records, "train"))).picture.jpeg())

    def with_metadata(name: str, write: Callable[..., None], *more: object) -> Callable[[], None]:
        def written() -> None:
            write(model, folder / name, spec, *more)
            labels = run.experiment.classes
            add_metadata(folder / name, name=run.name, labels=labels, spec=spec, postprocess=name == POSTPROCESS)

        return written

    return {
        SAVED_MODEL: whole_saved_model,
        FP32: with_metadata(FP32, tflite.write_fp32),
        FP16: with_metadata(FP16, tflite.write_fp16),
        INT8: lambda: write_int8_of(run, model, folder / INT8),
        POSTPROCESS: with_metadata(POSTPROCESS, tflite.write_postprocess, decoding),
        ONNX: lambda: onnx.write_onnx(model, folder / ONNX, spec),
    }


def _facts(run: Run, trained: Trained, folder: Path, *, default: str) -> ModelFacts:
    return ModelFacts(
        default=default,
        labels=run.experiment.classes,
        input=input_spec(run),
        outputs=OutputSpec(),
        anchors=run.experiment.model.grid,
        data_hash=load_manifest(run.records).source_hash,
        training_key=trained.key,
        code=code_version(),
        trial_source=trial(run, folder),
        step=trained.step,
    )


def trial(run: Run, folder: Path) -> str:
    """Drawn pictures can be drawn again; of others a few test pictures travel with the model."""
    if run.prepared is None and run.draws_pictures:
        return TRIAL_SCENE
    (folder / TRIAL_FOLDER).mkdir()
    with_objects = (sample for sample in read_part(run.records, "test") if sample.objects)
    for number, sample in enumerate(islice(with_objects, TRIAL_PICTURES), start=1):
        (folder / TRIAL_FOLDER / f"{number:02}.jpg").write_bytes(sample.picture.jpeg())
    return TRIAL_FOLDER
