"""Java, and the jars of Apache Kafka, fetched by Maven once."""

import fcntl
import hashlib
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vigie.errors import Unavailable

log = logging.getLogger(__name__)

POM = Path(__file__).parent / "kafka" / "pom.xml"
JAVA_AT_LEAST = 17
MAVEN_TIMEOUT_S = 600
_INSTALL_JAVA = (
    "install it: Debian and Ubuntu: apt-get install openjdk-17-jre-headless; Fedora: dnf install"
    " java-21-openjdk-headless; macOS: brew install openjdk; or use the embedded bus, which needs none: BUS=embedded"
)
_INSTALL_MAVEN = (
    "install it: Debian and Ubuntu: apt-get install maven; Fedora: dnf install maven; macOS: brew install maven;"
    " or use the embedded bus, which needs none: BUS=embedded"
)


def java() -> str:
    """The program of JAVA_HOME, or the one on the path.

    Raises:
        Unavailable: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else "java"
    found = shutil.which(program)
    if found is None:
        raise Unavailable(f"Kafka needs Java {JAVA_AT_LEAST} or newer, and there is no {program!r}; {_INSTALL_JAVA}")
    told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.search(r'version "(\d+)', told.stderr + told.stdout)
    if told.returncode != 0 or version is None:
        raise Unavailable(f"{found} -version fails: {_last_line(told.stderr)}; {_INSTALL_JAVA}")
    if int(version[1]) < JAVA_AT_LEAST:
        raise Unavailable(f"Kafka needs Java {JAVA_AT_LEAST} or newer, {found} is {version[1]}; {_INSTALL_JAVA}")
    return found


def kafka_jars(folder: Path) -> Path:
    """Fill `folder` with the broker's jars unless they are there; return it.

    They are fetched into a folder beside it that is renamed when all have come, so that `folder` is whole or absent.

    Raises:
        Unavailable: there is no Maven, or it cannot fetch them.
    """
    stamp = hashlib.sha256(POM.read_bytes()).hexdigest()
    with _alone(folder):
        if _stamp_of(folder) == stamp:
            return folder
        maven = shutil.which("mvn")
        if maven is None:
            raise Unavailable(f"Kafka's jars are fetched with Maven, and there is no 'mvn'; {_INSTALL_MAVEN}")
        fresh = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(fresh, ignore_errors=True)
        log.info("fetching Apache Kafka with Maven, 45 MB, once: folder=%s", folder)
        _fetch(maven, fresh)
        (fresh / "pom.sha256").write_text(stamp)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        log.info("fetched: jars=%d", len(list(folder.glob("*.jar"))))
    return folder


def _fetch(maven: str, into: Path) -> None:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={into.resolve()}", "-DincludeScope=runtime"]
    # -U: a failure of yesterday is kept by Maven and would be told again without asking.
    command = [maven, "-q", "-B", "-ntp", "-U", "-f", str(POM), *goal]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=MAVEN_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"Maven did not fetch Kafka's jars within {MAVEN_TIMEOUT_S} s; try again") from error
    if done.returncode != 0 or not any(into.glob("kafka_*.jar")):
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        said = errors[0] if errors else _last_line(done.stdout + done.stderr)
        raise Unavailable(f"Maven cannot fetch Kafka's jars (it needs its repository once): {said.strip()}")


def _stamp_of(folder: Path) -> str:
    try:
        return (folder / "pom.sha256").read_text()
    except OSError:
        return ""


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two that start a broker at once fetch the jars once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "without a word"
