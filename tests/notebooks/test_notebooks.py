"""A notebook calls and shows; it never defines."""

import ast
from pathlib import Path

import nbformat
import pytest

from vigie.errors import BadData, BadSetting
from vigie.notebooks import execute

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_the_notebooks_are_those_of_the_way_from_data_to_stream() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_data", "02_train", "03_evaluate", "04_export", "05_stream"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_one_cell_of_literal_parameters_and_defines_nothing(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    for statement in ast.parse(tagged[0].source).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)
    for cell in code:
        assert not cell.outputs
        assert cell.execution_count is None
        tree = ast.parse("\n".join(line for line in cell.source.splitlines() if not line.startswith("%")))
        assert not [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert sum(len(cell.source.splitlines()) for cell in code) <= 60
    assert book.metadata.kernelspec.name == "python3"


def small(folder: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / "small.ipynb"
    nbformat.write(book, path)
    return path


def test_an_unknown_parameter_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    notebook = small(tmp_path, "steps = 1\nname = 'x'")
    with pytest.raises(BadSetting, match=r"small\.ipynb: has no parameter stepz; it has: (steps, name|name, steps)"):
        execute(notebook, tmp_path / "out", {"stepz": 2})
    assert not (tmp_path / "out").exists()


def test_an_error_that_a_person_can_mend_leaves_the_notebook_as_itself(tmp_path: Path) -> None:
    notebook = small(tmp_path, "n = 1", "from vigie.errors import BadData\nraise BadData(f'faces/: no pictures, {n}')")
    with pytest.raises(BadData, match=r"^faces/: no pictures, 2 \(met in .*small\.failed\.ipynb\)$"):
        execute(notebook, tmp_path / "out", {"n": 2})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.failed.ipynb"]


def test_of_a_progress_bar_the_last_state_is_kept_and_the_report_shows_none(tmp_path: Path) -> None:
    bar = (
        "import sys\n"
        "for n in range(5):\n"
        "    sys.stderr.write(f'\\rstep {n}'); sys.stderr.flush()\n"
        "sys.stderr.write('\\n')\n"
        "'the result'"
    )
    done = execute(small(tmp_path, "n = 1", bar), tmp_path / "out", {})
    streams = [
        output.text
        for cell in nbformat.read(done, as_version=4).cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ]
    assert streams == ["step 4\n"]
    report = done.with_suffix(".html").read_text()
    assert "the result" in report
    assert "step 4" not in report
