"""The model card: what a person who is handed the folder wants to know."""

from collections.abc import Sequence
from pathlib import Path

from vigie.bundle import CARD_FILE, ModelFacts
from vigie.data.parts import PARTS
from vigie.data.prepare import load_manifest, read_part
from vigie.experiment import About
from vigie.export.card.facts import CardFacts
from vigie.export.card.files import files_section, running_section
from vigie.export.card.markdown import table, text
from vigie.export.card.measures import (
    classes_section,
    curves_section,
    limits_section,
    mistakes_section,
    thresholds_section,
)
from vigie.export.card.pictures import Mistake, write_figures, write_mistakes
from vigie.export.gate.results import Gate
from vigie.runs import Run
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.reporting.words import headline

NOT_STATED = "not stated"


def write_card(folder: Path, name: str, facts: ModelFacts, gate: Gate, evaluation: Evaluation, run: Run) -> None:
    """Write README.md into `folder`, and beside it the pictures that it shows."""
    write_figures(folder, evaluation)
    shown_from = {label: facts.thresholds.get(label, facts.score_threshold) for label in facts.labels}
    false, missed = write_mistakes(folder, evaluation, read_part(run.records, "test"), shown_from)
    about = run.experiment.about or About()
    of_its_own = "drawn by Vigie" if run.draws_pictures else NOT_STATED
    init = run.experiment.training.init
    told = CardFacts(
        name=name,
        model=facts,
        gate=gate,
        evaluation=evaluation,
        data=load_manifest(run.records),
        source=about.source or of_its_own,
        data_licence=about.data_licence or ("none is needed, Vigie drew it" if run.draws_pictures else NOT_STATED),
        weights_licence=about.weights_licence or NOT_STATED,
        started_from="random numbers" if init is None else init if init == "imagenet" else Path(init).name,
    )
    (folder / CARD_FILE).write_text(card(told, false, missed), encoding="utf-8")


def card(facts: CardFacts, false: Sequence[Mistake] = (), missed: Sequence[Mistake] = ()) -> str:
    """Markdown."""
    model = facts.model
    parts = [
        f"# {text(facts.name)}",
        f"An object detector, SSD MobileNet V2 FPNLite, made by Vigie {model.code} after {model.step} training steps.\n"
        f"It finds {', '.join(f'`{label}`' for label in model.labels)}.",
        f"On pictures that it never saw: {headline(facts.evaluation)}",
        classes_section(facts),
        thresholds_section(facts),
        curves_section(),
        mistakes_section(false, missed),
        limits_section(facts),
        _data(facts),
        files_section(facts),
        running_section(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _data(facts: CardFacts) -> str:
    data = facts.data
    rows = [(part, str(data.parts[part].pictures), *map(str, data.parts[part].boxes.values())) for part in PARTS]
    return (
        f"## Data and licences\n\n"
        f"The set `{data.source}` (source: {text(facts.source)}), sha256 `{facts.model.data_hash}`. "
        "Pictures that look alike are in one part.\n\n"
        f"{table(('part', 'pictures', *(f'`{label}`' for label in data.classes)), rows)}\n\n"
        f"- licence of the data: {text(facts.data_licence)}\n"
        f"- licence of these weights: {text(facts.weights_licence)}\n"
        f"- the training started from: {text(facts.started_from)}"
    )
