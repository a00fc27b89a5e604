"""Annotated pictures to TFRecord: `prepare` beside the loop that one would write with PIL and TensorFlow's writer.

What is compared. Both sides read every label file and every picture once, decode it once and to its end, and write the
same features into records of three parts. The plain loop decodes with `Image.load()` at full size and in colour, as
such loops do, and draws the part by lot. Ours takes the grey of a part of the size, for its fingerprints: that leaves
out colours and most of the inverse transform, but no byte of the file; where libjpeg-turbo stumbles on anything, Pillow
decodes the picture as the plain loop does and decides. That each side refuses a JPEG which is corrupt in the middle is
tried before anything is measured. Ours does more: it hashes, checks boxes and sizes, finds look-alikes, divides by
groups and classes, writes tables, lists and a manifest.

What counts. A person runs a command, so the whole of it, from the start of Python to its end, decides: TensorFlow,
which the plain loop writes with, has to be loaded there, and scikit-learn, which ours divides with. The work alone,
with those modules loaded and our processes still to be started, is told beside it; at 20,000 pictures both should say
the same. Sides take turns. Processor seconds, of a command and all its processes, tell what a busy machine hides.

Every measurement runs in a fresh process, so that peak memory, the sum over a command's processes, is its own.
"""

import argparse
import io
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from pathlib import Path

from PIL import Image
from timing import table

from vigie import voc
from vigie.domain import Box, LabelledBox
from vigie.errors import VigieError

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
FACE_MASK = ("with_mask", "without_mask", "mask_weared_incorrect")
SMALL_CLASSES = ("one", "two", "three")
SMALL_SIZE = (160, 120)
ROUNDS = 3
PLAIN, OURS = "plain loop", "vigie"
SIDES = {PLAIN: "plain", OURS: "ours"}


def plain(source: Path, out: Path, classes: tuple[str, ...]) -> None:
    """What one writes oneself: a label file, its picture, an Example, into a part by lot, one after the other."""
    import tensorflow as tf  # noqa: PLC0415

    def ints(values: list[int]) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def floats(values: list[float]) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def texts(values: list[bytes]) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    pictures = {path.stem: path for path in (source / "images").iterdir()}
    lot = random.Random(1)
    out.mkdir()
    with ExitStack() as stack:
        writers = [
            stack.enter_context(tf.io.TFRecordWriter(str(out / f"{part}.tfrecord")))
            for part in ("train", "validation", "test")
        ]
        for number, path in enumerate(sorted((source / "annotations").iterdir()), start=1):
            objects = ET.parse(path).getroot().findall("object")
            picture = pictures[path.stem]
            encoded = picture.read_bytes()
            with Image.open(io.BytesIO(encoded)) as image:
                image.load()
                width, height = image.size
            labels = [str(found.findtext("name")) for found in objects]
            xmin, ymin, xmax, ymax = (
                [float(found.findtext(f"bndbox/{name}") or "") for found in objects]
                for name in ("xmin", "ymin", "xmax", "ymax")
            )
            features = {
                "image/encoded": texts([encoded]),
                "image/format": texts([b"jpeg"]),
                "image/filename": texts([picture.name.encode()]),
                "image/source_id": texts([str(number).encode()]),
                "image/height": ints([height]),
                "image/width": ints([width]),
                "image/object/bbox/xmin": floats([(value - 1) / width for value in xmin]),
                "image/object/bbox/xmax": floats([value / width for value in xmax]),
                "image/object/bbox/ymin": floats([(value - 1) / height for value in ymin]),
                "image/object/bbox/ymax": floats([value / height for value in ymax]),
                "image/object/class/label": ints([classes.index(label) + 1 for label in labels]),
                "image/object/class/text": texts([label.encode() for label in labels]),
                "image/object/area": floats(
                    [(r - l + 1) * (b - t + 1) for l, t, r, b in zip(xmin, ymin, xmax, ymax, strict=True)]  # noqa: E741
                ),
                "image/object/is_crowd": ints([0] * len(labels)),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            (writer,) = lot.choices(writers, (0.7, 0.15, 0.15))
            writer.write(example.SerializeToString())


def ours(source: Path, out: Path, classes: tuple[str, ...]) -> None:
    from vigie.data.prepare import prepare  # noqa: PLC0415

    prepare(source, out, classes=classes, progress=False)


# A side in a process of its own: seconds of the work with all its modules loaded.
CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, {folder!r})
import data
{modules}
source, out, classes = Path(sys.argv[2]), Path(sys.argv[3]), tuple(sys.argv[4].split(","))
begin = time.perf_counter()
getattr(data, sys.argv[1])(source, out, classes)
print(time.perf_counter() - begin)
"""
MODULES = {"plain": "import tensorflow", "ours": "import sklearn.model_selection, vigie.data.prepare"}
# The same as a command: nothing is loaded that the side does not load itself.
COMMAND = CHILD.replace("{modules}\n", "")


def measured(side: str, source: Path, classes: tuple[str, ...], *, command: bool) -> dict[str, float]:
    """`seconds` of the work, or of the whole command from the start of Python to its end; `cpu` seconds of it with
    all workers, and `peak_mb`, theirs too."""
    code = (COMMAND if command else CHILD).format(folder=str(Path(__file__).parent), modules=MODULES[side])
    peaks_kb: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        before = cpu_of_children()
        begin = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-c", code, side, str(source), str(Path(folder) / "records"), ",".join(classes)],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        while child.poll() is None:
            for pid, peak_kb in high_water_kb(child.pid).items():
                # The last that it tells: at first a child has what its parent had, and one that has ended tells 0.
                peaks_kb[pid] = peak_kb or peaks_kb.get(pid, 0)
            time.sleep(0.02)
        whole = time.perf_counter() - begin
        printed = child.communicate()[0]
    if child.returncode:
        raise SystemExit(f"{side} ended with {child.returncode}")
    return {
        "seconds": whole if command else float(printed.splitlines()[-1]),
        "cpu": cpu_of_children() - before,
        "peak_mb": sum(peaks_kb.values()) / 1024,
    }


def cpu_of_children() -> float:
    """Of those that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def high_water_kb(pid: int) -> dict[int, int]:
    """The most that a process and its children ever had in memory until now.

    Not `getrusage`: a child starts there with what its parent had when it was started.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = [
            child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
        ]
    except OSError:
        return {}
    marks = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    found = {pid: max(marks, default=0)}
    for child in children:
        found |= high_water_kb(int(child))
    return found


def refuses(side: str, source: Path, classes: tuple[str, ...]) -> bool:
    try:
        with tempfile.TemporaryDirectory() as folder:
            SIDES_RUN[side](source, Path(folder) / "records", classes)
    except (OSError, VigieError):
        return True
    return False


def check_both_refuse(folder: Path) -> None:
    """A JPEG whose middle is overwritten with what no scan may hold: the headers of another picture."""
    source = small_set(folder, 12)
    picture = source / "images" / "00005.jpg"
    content = bytearray(picture.read_bytes())
    assert not refuses("ours", source, SMALL_CLASSES)
    content[len(content) // 2 : len(content) // 2 + 160] = content[:160]
    picture.write_bytes(content)
    for name, side in SIDES.items():
        if not refuses(side, source, SMALL_CLASSES):
            raise SystemExit(f"{name} took a JPEG that is corrupt in the middle: the comparison means nothing")


SIDES_RUN = {"plain": plain, "ours": ours}


def small_set(root: Path, count: int) -> Path:
    """Crops of photographs, a few objects each."""
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    draw = random.Random(4)
    width, height = SMALL_SIZE
    photographs = [Image.open(path).convert("RGB") for path in sorted((SHARED / "coco_val200" / "images").iterdir())]
    photographs = [photograph for photograph in photographs if photograph.width > width and photograph.height > height]
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        left, top = draw.randrange(photograph.width - width), draw.randrange(photograph.height - height)
        name = f"{number:05d}"
        photograph.crop((left, top, left + width, top + height)).save(root / "images" / f"{name}.jpg", quality=90)
        boxes = [(draw.randrange(width - 40), draw.randrange(height - 40)) for _ in range(1 + number % 4)]
        objects = [
            LabelledBox(SMALL_CLASSES[(number + place) % 3], Box(x, y, x + 20.0 + number % 20, y + 20.0))
            for place, (x, y) in enumerate(boxes)
        ]
        voc.write_annotation(root / "annotations" / f"{name}.xml", f"{name}.jpg", width, height, objects)
    return root


def compared(title: str, source: Path, classes: tuple[str, ...], rounds: int) -> float:
    """Print both sides, which take turns; returns the peak memory of ours in MB."""
    count = sum(1 for _ in (source / "annotations").iterdir())
    peaks = dict.fromkeys(SIDES, 0.0)
    for heading, command in (("whole command", True), ("the work alone", False)):
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
        for number in range(rounds):
            for name in list(SIDES) if number % 2 else list(SIDES)[::-1]:
                rows[name].append(measured(SIDES[name], source, classes, command=command))
                peaks[name] = max(peaks[name], rows[name][-1]["peak_mb"])
        seconds = {name: statistics.median(row["seconds"] for row in found) for name, found in rows.items()}
        cpu = {name: statistics.median(row["cpu"] for row in found) for name, found in rows.items()}
        print(table(f"{title}, {heading}", seconds, count, "pictures", PLAIN))
        used = ", ".join(f"{name} {value:.1f} s" for name, value in cpu.items())
        print(
            f"  {seconds[PLAIN] / seconds[OURS]:.2f} times the plain loop's pictures a second; processor time: {used}"
        )
    print("  peak memory: " + ", ".join(f"{name} {peak:.0f} MB" for name, peak in peaks.items()), flush=True)
    return peaks[OURS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000, help="of the large set of small pictures")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check_both_refuse(Path(folder) / "corrupt")
        compared("face masks", SHARED / "facemask", FACE_MASK, asked.rounds)
        few = small_set(Path(folder) / "few", asked.pictures // 10)
        many = small_set(Path(folder) / "many", asked.pictures)
        low = compared(f"{asked.pictures // 10} small pictures", few, SMALL_CLASSES, asked.rounds)
        high = compared(f"{asked.pictures} small pictures", many, SMALL_CLASSES, asked.rounds)
        print(f"peak memory at {asked.pictures} beside {asked.pictures // 10}: {high / low:.2f} x")


if __name__ == "__main__":
    main()
