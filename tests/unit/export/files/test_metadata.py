"""What other people's tools read in our TensorFlow Lite files."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from vigie.errors import BadBundle
from vigie.foreign.metadata import told_by

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: install vigie[train]")

from one_convolution import LABELS, SPEC, OneConvolution, decoder


@pytest.fixture(scope="module", params=["raw heads", "boxes"])
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file without metadata."""
    from vigie.export.files.tflite import write_fp32, write_postprocess

    path = tmp_path_factory.mktemp("metadata") / "model.tflite"
    if request.param == "raw heads":
        write_fp32(OneConvolution(), path, SPEC)
    else:
        write_postprocess(OneConvolution(), path, SPEC, decoder())
    return path


@pytest.fixture
def told(plain: Path, tmp_path: Path) -> Path:
    from vigie.export.files.metadata import add_metadata

    path = tmp_path / "model.tflite"
    path.write_bytes(plain.read_bytes())
    add_metadata(path, name="one convolution", labels=LABELS, spec=SPEC, postprocess=has_boxes(plain))
    return path


def has_boxes(path: Path) -> bool:
    return len(Interpreter(model_path=str(path)).get_output_details()) == 4


def test_a_file_says_what_it_takes_and_gives(told: Path) -> None:
    found = told_by(told)
    assert found.labels == LABELS
    if has_boxes(told):
        assert (found.mean_rgb, found.std_rgb) == ((127.5,) * 3, (127.5,) * 3)
        assert found.outputs == ("location", "category", "score", "number of detections")
    else:
        assert (found.mean_rgb, found.std_rgb) == (SPEC.mean_rgb, SPEC.std_rgb)
        signature = Interpreter(model_path=str(told)).get_signature_runner().get_output_details()
        places = [output["index"] for output in Interpreter(model_path=str(told)).get_output_details()]
        assert found.outputs == tuple(sorted(signature, key=lambda name: places.index(signature[name]["index"])))


def test_labels_are_packed_behind_the_model_as_they_are(told: Path) -> None:
    with zipfile.ZipFile(told) as packed:
        (entry,) = packed.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert packed.read(entry).decode() == "hat\nété d'or\n"


def test_the_model_stays_as_it_is_and_aligned(plain: Path, told: Path) -> None:
    assert told.read_bytes().find(plain.read_bytes()) % 16 == 0  # -1, where it is not in there, is none of these
    before, after = (Interpreter(model_path=str(path), num_threads=1).get_signature_runner() for path in (plain, told))
    pictures = np.random.default_rng(1).normal(size=(1, SPEC.height, SPEC.width, 3)).astype(np.float32)
    for name, values in before(pictures=pictures).items():
        np.testing.assert_array_equal(after(pictures=pictures)[name], values)


def test_the_same_model_gives_the_same_bytes_at_any_time(plain: Path, told: Path, tmp_path: Path) -> None:
    from vigie.export.files.metadata import add_metadata

    again = tmp_path / "again.tflite"
    again.write_bytes(plain.read_bytes())
    add_metadata(again, name="one convolution", labels=LABELS, spec=SPEC, postprocess=has_boxes(plain))
    assert again.read_bytes() == told.read_bytes()


def test_other_entries_of_the_models_metadata_are_kept(plain: Path, told: Path) -> None:
    assert entries(plain)
    assert entries(told) == {**entries(plain), b"TFLITE_METADATA": entries(told)[b"TFLITE_METADATA"]}
    assert entries(told)[b"TFLITE_METADATA"][4:8] == b"M001"


def entries(path: Path) -> dict[bytes, bytes]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    found = (model.Metadata(number) for number in range(model.MetadataLength()))
    return {entry.Name(): model.Buffers(entry.Buffer()).DataAsNumpy().tobytes() for entry in found}


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    from vigie.export.files.metadata import add_metadata

    (tmp_path / "text.tflite").write_text("this is a text")
    with pytest.raises(BadBundle, match=r"text\.tflite"):
        add_metadata(tmp_path / "text.tflite", name="text", labels=LABELS, spec=SPEC, postprocess=False)


def test_outputs_are_put_in_order_only_among_themselves(plain: Path) -> None:
    from vigie.export.files.flatbuffer_tables import with_outputs

    tensors = [int(output["index"]) for output in Interpreter(model_path=str(plain)).get_output_details()]
    turned = with_outputs(plain.read_bytes(), tensors[::-1])
    found = Interpreter(model_content=turned).get_output_details()
    assert [int(output["index"]) for output in found] == tensors[::-1]
    with pytest.raises(BadBundle, match="was to give"):
        with_outputs(plain.read_bytes(), [*tensors[1:], 0])
