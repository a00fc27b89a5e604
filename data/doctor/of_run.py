"""The doctor on the pictures of a run, at the size and with the anchors that the run trains at."""

from vigie.data.doctor.check import examine
from vigie.data.doctor.page import as_html
from vigie.data.doctor.reading import read_set
from vigie.runs import Run

_SHOWN = 3


def findings_of(run: Run, *, progress: bool = True) -> str:
    """The report as HTML, each code with a few of its pictures."""
    if run.prepared is not None:
        return (
            f"<p>The records were prepared outside this run, in {run.prepared.name}: there are no pictures to examine."
        )
    model = run.experiment.model
    data = read_set(run.pictures, progress=progress)
    report = examine(
        data,
        classes=run.experiment.classes,
        input_size=(model.input_width, model.input_height),
        anchors=model.anchors,
        resize=model.resize,
    )
    return as_html(report, data, run.pictures, shown=_SHOWN)
