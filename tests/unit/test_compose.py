"""compose.yaml serves models/ to this machine, as TF Serving's image wants it; a container cannot be started here."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tf_serving_server import TfServing

from vigie.detectors.tf_serving import Options
from vigie.settings import load_settings

ROOT = Path(__file__).parents[2]
# https://docs.docker.com/reference/compose-file/services/, those of which this file could have use
SERVICE = {"image", "environment", "command", "volumes", "ports", "security_opt", "healthcheck", "restart"}
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period"}
# tensorflow_model_server --help, TF Serving 2.20
FLAGS = {"file_system_poll_wait_seconds", "rest_api_timeout_in_ms"}


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    whole = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert list(whole) == ["services"]
    (found,) = whole["services"].values()
    assert found.keys() <= SERVICE
    return dict(found)


def filled(text: str, **variables: str) -> str:
    """As Compose fills in `${NAME:-default}`, and makes one `$` of two."""
    text = re.sub(r"(?<!\$)\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), text)
    return text.replace("$$", "$")


def test_the_image_is_pinned_to_the_tensorflow_that_exports(service: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pin,) = [one for one in project["optional-dependencies"]["train"] if one.startswith("tensorflow==")]
    image, tag = service["image"].split(":")
    assert image == "tensorflow/serving"
    assert re.fullmatch(r"\d+\.\d+\.\d+", tag)
    assert tag.rpartition(".")[0] == pin.removeprefix("tensorflow==").removesuffix(".*")


def test_the_models_are_mounted_read_only_where_the_image_looks_for_them(service: dict[str, Any]) -> None:
    (mount,) = service["volumes"]
    assert (ROOT / mount["source"]).resolve() == load_settings(root=ROOT).models
    assert (mount["type"], mount["target"], mount["read_only"]) == ("bind", "/models", True)
    assert service["environment"]["MODEL_BASE_PATH"] == mount["target"]
    assert filled(service["environment"]["MODEL_NAME"]) == "demo"
    assert filled(service["environment"]["MODEL_NAME"], TF_SERVING_MODEL="facemask") == "facemask"


def test_only_this_machine_can_ask_and_at_the_address_that_the_detector_asks(service: dict[str, Any]) -> None:
    (port,) = service["ports"]
    address, inside = filled(port).rsplit(":", 1)
    assert inside == "8501"
    assert Options(Path()).url == f"http://{address}"


def test_the_flags_are_those_of_the_server(service: dict[str, Any]) -> None:
    for word in service["command"]:
        flag = re.fullmatch(r"--(\w+)=(\d+)", word)
        assert flag is not None, word
        assert flag[1] in FLAGS


def test_no_variable_of_the_file_is_taken_for_a_setting_of_ours() -> None:
    # Compose and we read the same .env, and we refuse names of ours that we do not know.
    names = re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text())
    assert names
    assert not [name for name in names if name.startswith("VIGIE_")]


class TestHealth:
    @pytest.fixture
    def server(self) -> Iterator[TfServing]:
        with TfServing(Path(), "demo", run=lambda *_: {}, versions=(1,)) as running:
            yield running

    def healthy(self, service: dict[str, Any], server: TfServing, name: str = "demo") -> bool:
        check = service["healthcheck"]
        assert check.keys() <= HEALTHCHECK
        kind, *words = [filled(word).replace("8501", str(server.port)) for word in check["test"]]
        assert kind == "CMD"
        done = subprocess.run(words, env={"MODEL_NAME": name, "PATH": "/usr/bin:/bin"}, check=False, timeout=10)
        return done.returncode == 0

    def test_it_is_well_once_the_model_is_loaded(self, service: dict[str, Any], server: TfServing) -> None:
        assert self.healthy(service, server)
        server.state = "LOADING"
        assert not self.healthy(service, server)

    def test_it_is_not_without_the_model_or_without_an_answer(self, service: dict[str, Any], server: TfServing) -> None:
        assert not self.healthy(service, server, name="other")
        server.stop()
        assert not self.healthy(service, server)
        server.start()
