import json
from pathlib import Path

from typer.testing import CliRunner

from vigie.cli import app
from vigie.data.synthetic import write_set


def test_a_bundle_compared_with_itself_differs_nowhere(tiny_bundle: Path, tmp_path: Path) -> None:
    drawn = write_set(tmp_path / "set", pictures=6, seed=4, progress=False)
    out = tmp_path / "report"
    asked = ["evaluate", str(tiny_bundle), "--data", str(drawn), "--out", str(out), "--compare", str(tiny_bundle)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    compared = json.loads((out / "compare.json").read_text())
    assert compared["difference"]["mAP"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert compared["pictures"] == []
    assert compared["more_than_noise"] is False
    page = (out / "report.html").read_text()
    assert "The two do the same on every picture." in page
    assert f"the other model {tiny_bundle}" in page
