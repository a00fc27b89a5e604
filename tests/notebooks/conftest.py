"""A small set and a small experiment under the name of the demo, so that notebooks run with their own parameters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vigie.data.synthetic import write_set

SMALL = """
name: demo
classes: [with_mask, without_mask, mask_weared_incorrect]
model: {input_width: 96, input_height: 96, backbone_width: 0.35, fpn_filters: 16, head_convs: 1}
training: {steps: 6, batch: 4, checkpoint_every: 3, warmup_steps: 2}
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What `make` is asked for; runs and models lie in a folder of their own."""
    folder = tmp_path_factory.mktemp("project")
    experiment = folder / "small.yaml"
    experiment.write_text(SMALL)
    voc = write_set(folder / "faces", pictures=24, seed=5, width=128, height=96, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIGIE_RUNS", str(folder / "runs"))
        patch.setenv("VIGIE_MODELS", str(folder / "models"))
        yield {"name": "demo", "experiment": str(experiment), "voc": str(voc)}


@pytest.fixture(scope="module")
def notebooks_folder(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath / "notebooks"
