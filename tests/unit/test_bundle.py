"""A bundle is whole and agrees with its manifest, or it is refused with what to do."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.bundle import InputSpec, ModelFacts, newest_bundle, open_bundle
from vigie.errors import BadBundle
from vigie.export import publishing
from vigie.export.publishing import new_staging, seal, write_bundle

FACTS = ModelFacts(
    default="model_fp32.tflite",
    labels=("cat", "dog"),
    input=InputSpec(width=64, height=96, mean_rgb=(1, 2, 3), std_rgb=(4, 5, 6)),
    anchors=AnchorSpec(min_level=3, max_level=4),
    score_threshold=0.4,
    thresholds={"dog": 0.7},
    data_hash="d",
    training_key="t",
    code="0.1.0",
    trial_source="trial",
    step=12,
)


def staged(out: Path) -> Path:
    folder = new_staging(out)
    (folder / "model_fp32.tflite").write_bytes(b"weights")
    (folder / "trial").mkdir()
    (folder / "trial" / "01.jpg").write_bytes(b"picture")
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    out = tmp_path / "models" / "pets"
    return write_bundle(staged(out), out, FACTS).folder


def edit(bundle: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_what_is_written_is_what_is_opened(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    assert (manifest.name, manifest.version, manifest.format) == ("pets", 1, 1)
    assert sorted(manifest.files) == ["labels.txt", "model_fp32.tflite", "trial/01.jpg"]
    assert manifest.files["model_fp32.tflite"].bytes == 7
    assert ModelFacts.model_validate(manifest.model_dump(include=set(ModelFacts.model_fields))) == FACTS
    assert datetime.now(UTC) - manifest.made_at < timedelta(minutes=1)
    assert (bundle / "labels.txt").read_text() == "cat\ndog\n"


def test_the_name_folder_means_its_newest_version_by_number(bundle: Path) -> None:
    for _ in range(10):
        write_bundle(staged(bundle.parent), bundle.parent, FACTS)
    assert open_bundle(bundle.parent).folder.name == "11"


def test_a_number_without_a_manifest_is_no_version_and_is_never_written_over(bundle: Path) -> None:
    (bundle.parent / "7").mkdir()
    (bundle.parent / "7" / "saved_model.pb").write_bytes(b"of somebody else")
    assert open_bundle(bundle.parent).folder.name == "1"
    assert write_bundle(staged(bundle.parent), bundle.parent, FACTS).folder.name == "8"


def test_the_newest_bundle_is_the_one_made_last_whatever_its_name_and_number(tmp_path: Path, bundle: Path) -> None:
    other = tmp_path / "models" / "another"
    write_bundle(staged(other), other, FACTS)
    late = write_bundle(staged(other), other, FACTS).folder
    assert newest_bundle(tmp_path / "models").folder == late
    edit(late, lambda manifest: manifest.update(made_at="2020-01-01T00:00:00Z"))
    edit(other / "1", lambda manifest: manifest.update(made_at="2020-01-01T00:00:00Z"))
    assert newest_bundle(tmp_path / "models").folder == bundle


@pytest.mark.parametrize("models", ["absent", "empty"])
def test_without_any_bundle_the_person_is_told_to_export(tmp_path: Path, models: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadBundle, match="holds no model bundle; make one with `make export` first"):
        newest_bundle(tmp_path / models)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="is no model bundle"):
        open_bundle(tmp_path)
    with pytest.raises(BadBundle, match="there is no such model bundle"):
        open_bundle(tmp_path / "absent")


def test_an_unfinished_export_is_never_taken_for_a_bundle(tmp_path: Path) -> None:
    out = tmp_path / "models" / "pets"
    seal(staged(out), FACTS, name="pets")
    with pytest.raises(BadBundle, match="is no model bundle"):
        open_bundle(out)
    with pytest.raises(BadBundle, match="holds no model bundle"):
        newest_bundle(tmp_path / "models")


def test_an_export_that_dies_before_the_last_step_leaves_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "pets"
    monkeypatch.setattr(publishing, "_sync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(staged(out), out, FACTS)
    assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == []


def test_two_exports_at_once_get_two_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "pets"
    mine, theirs = staged(out), staged(out)
    sync = publishing._sync

    def overtaken(folder: Path) -> None:
        monkeypatch.setattr(publishing, "_sync", sync)
        write_bundle(theirs, out, FACTS)
        sync(folder)

    monkeypatch.setattr(publishing, "_sync", overtaken)
    assert write_bundle(mine, out, FACTS).manifest.version == 2
    assert open_bundle(out / "1").manifest.version == 1
    assert open_bundle(out / "2").manifest.version == 2


def test_a_server_that_runs_as_another_user_can_read_a_bundle(bundle: Path) -> None:
    assert bundle.stat().st_mode & 0o777 == 0o755


def test_a_missing_file_is_named(bundle: Path) -> None:
    (bundle / "model_fp32.tflite").unlink()
    with pytest.raises(BadBundle, match=r"pets/1/model_fp32\.tflite: is missing, .*export or copy the bundle again"):
        open_bundle(bundle)


def test_a_changed_file_is_named_with_what_was_found_and_expected(bundle: Path) -> None:
    (bundle / "model_fp32.tflite").write_bytes(b"other weights")
    with pytest.raises(BadBundle, match=r"model_fp32\.tflite: was changed .* 13 bytes .* expects 7 "):
        open_bundle(bundle)
    assert open_bundle(bundle, verify=False).manifest.name == "pets"


def test_a_file_that_the_manifest_does_not_list_is_simply_not_there(bundle: Path) -> None:
    (bundle / "README.md").write_text("A person's own words.")
    (bundle / "extra.tflite").write_bytes(b"?")
    assert "extra.tflite" not in open_bundle(bundle).manifest.files
    with pytest.raises(BadBundle, match=r"has no file extra\.tflite; it has labels\.txt, model_fp32\.tflite"):
        open_bundle(bundle).file("extra.tflite")


def test_labels_that_disagree_are_refused(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest.update(labels=["dog", "cat"]))
    with pytest.raises(BadBundle, match=r"labels\.txt: has the labels \['cat', 'dog'\].* expects \['dog', 'cat'\]"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(format=2), r"format 2, made by a newer Vigie \(0\.1\.0\); .* reads 1"),
        (lambda manifest: manifest.update(format=2, anchors="otherwise"), "made by a newer Vigie"),
        (lambda manifest: manifest.update(format=0), "format 0, made by an older Vigie .* export the model again"),
        (lambda manifest: manifest.update(colour="red"), "colour: there is no such setting"),
        (lambda manifest: manifest.pop("anchors"), "anchors: is missing"),
        (lambda manifest: manifest.update(default="model_int8.tflite"), r"model_int8\.tflite is not among the files"),
        (lambda manifest: manifest.update(thresholds={"cow": 0.5}), r"thresholds for \['cow'\]"),
        (lambda manifest: manifest.update(score_threshold=1.5), "score_threshold: .*found 1.5"),
        (lambda manifest: manifest.update(made_at="2026-01-01T00:00:00"), "made_at: .*timezone"),
        (lambda manifest: manifest["files"].update({"../secret": {"sha256": "0" * 64, "bytes": 1}}), "lies outside"),
        (lambda manifest: manifest["files"].update({"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}), "lies outside"),
    ],
)
def test_a_manifest_of_another_kind_is_refused_in_one_line(
    bundle: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    edit(bundle, change)
    with pytest.raises(BadBundle, match=message) as caught:
        open_bundle(bundle)
    assert str(caught.value).startswith(str(bundle / "manifest.json"))
    assert "\n" not in str(caught.value)


def test_a_bundle_from_before_thresholds_were_chosen_is_read(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest.pop("chosen_thresholds"))
    manifest = open_bundle(bundle).manifest
    assert (manifest.chosen_thresholds, manifest.thresholds) == ({}, {"dog": 0.7})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}'])
def test_a_manifest_cut_short_is_refused(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BadBundle, match=r"manifest\.json: .*export the model again"):
        open_bundle(bundle)


def test_the_decoder_has_the_bundles_anchors_and_thresholds(bundle: Path) -> None:
    decoder = open_bundle(bundle).decoder()
    assert (decoder.labels, decoder.input_width, decoder.input_height) == (("cat", "dog"), 64, 96)
    assert (decoder.score_threshold, decoder.thresholds) == (0.4, {"dog": 0.7})
    np.testing.assert_array_equal(decoder.anchors, anchors_yxyx_px(FACTS.anchors, 64, 96))


def test_a_threshold_that_is_asked_for_replaces_those_of_single_labels_too(bundle: Path) -> None:
    decoder = open_bundle(bundle).decoder(0.01)
    assert (decoder.score_threshold, decoder.thresholds) == (0.01, {})


def test_a_trial_source_in_the_bundle_is_given_in_full_and_another_as_it_is(bundle: Path) -> None:
    assert open_bundle(bundle).trial_source() == str(bundle / "trial")
    moved = bundle.parent.parent / "moved"
    shutil.copytree(bundle, moved)
    assert open_bundle(moved).trial_source() == str(moved / "trial")
    edit(bundle, lambda manifest: manifest.update(trial_source="synthetic:seed=3"))
    assert open_bundle(bundle).trial_source() == "synthetic:seed=3"


def test_leftovers_of_interrupted_exports_go_after_a_day(tmp_path: Path) -> None:
    import os

    fresh, old = new_staging(tmp_path), new_staging(tmp_path)
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    os.utime(old, (two_days_ago, two_days_ago))
    new_staging(tmp_path)
    assert (fresh.exists(), old.exists()) == (True, False)
