from pathlib import Path

from vigie.data.doctor.of_run import findings_of
from vigie.runs import open_run

EXPERIMENT = """
name: small
classes: [with_mask, without_mask, mask_weared_incorrect, beard]
training: {steps: 1}
"""


def test_a_run_is_examined_with_its_own_classes_and_size(cartoon_set: Path, tmp_path: Path) -> None:
    asked = tmp_path / "small.yaml"
    asked.write_text(EXPERIMENT)
    large = tmp_path / "large.yaml"
    large.write_text(EXPERIMENT + "model: {input_width: 96, input_height: 96}\n")
    page = findings_of(open_run(tmp_path / "small", experiment=asked, voc=cartoon_set), progress=False)
    assert "class-absent" in page
    assert "at 96x96" in findings_of(open_run(tmp_path / "large", experiment=large, voc=cartoon_set), progress=False)


def test_records_that_were_prepared_elsewhere_have_no_pictures_to_examine(tmp_path: Path) -> None:
    asked = tmp_path / "small.yaml"
    asked.write_text(EXPERIMENT)
    records = tmp_path / "records"
    records.mkdir()
    page = findings_of(open_run(tmp_path / "run", experiment=asked, records=records))
    assert "no pictures to examine" in page
