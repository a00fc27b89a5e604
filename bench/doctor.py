"""What the doctor costs: seconds and peak memory of `vigie data check`, near-duplicates and anchors among it.

It stands beside a bare loop that decodes each picture with PIL and drops it: no examination can do with less.
The face-mask set is measured as it is, and a set of small crops of it with twins among them. Every measurement has a
process of its own, so that peak memory is its own.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from vigie import voc
from vigie.domain import Box, LabelledBox

FACE_MASK = Path(__file__).parent.parent.parent / "shared" / "data" / "facemask"
TWIN_EVERY = 50  # one picture in so many is the last one again, smaller and coarser
BARE, OURS = "PIL, decode alone", "vigie data check"

BARE_CODE = """
from PIL import Image
begin = time.perf_counter()
for path in (folder / "images").iterdir():
    with Image.open(path) as image:
        image.load()
"""
OUR_CODE = """
from vigie.data.doctor.check import check
begin = time.perf_counter()
check(folder, progress=False)
"""
CHILD = """
import json, resource, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
{work}
seconds = time.perf_counter() - begin
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def small_set(root: Path, count: int) -> Path:
    """Crops of photographs, 160 x 120 to 320 x 240, an object on each."""
    photographs = sorted((FACE_MASK / "images").iterdir())
    for name in ("images", "annotations"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        picture = root / "images" / f"{number:06}.jpg"
        twin = number % TWIN_EVERY == 1
        with Image.open(photographs[(number - twin) % len(photographs)]) as photograph:
            crop = _crop(photograph.convert("RGB"), random.Random(number - twin))
        if twin:
            crop = crop.resize((crop.width * 3 // 4, crop.height * 3 // 4))
        crop.save(picture, quality=60 if twin else 90)
        marked = [LabelledBox("face", Box(10.0, 10.0, crop.width / 2, crop.height / 2))]
        label_file = root / "annotations" / f"{number:06}.xml"
        voc.write_annotation(label_file, picture.name, crop.width, crop.height, marked)
    return root


def _crop(photograph: Image.Image, chance: random.Random) -> Image.Image:
    share = chance.uniform(0.4, 0.8)
    wide, high = int(photograph.width * share), int(photograph.height * share)
    left, top = chance.randint(0, photograph.width - wide), chance.randint(0, photograph.height - high)
    size = chance.randint(160, 320), chance.randint(120, 240)
    return photograph.crop((left, top, left + wide, top + high)).resize(size)


def measured(code: str, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB."""
    child = [sys.executable, "-c", CHILD.format(work=code), str(folder)]
    done = subprocess.run(child, check=True, capture_output=True, text=True)
    seconds, peak_mb = json.loads(done.stdout)
    return seconds, peak_mb


def show(title: str, folder: Path) -> None:
    count = sum(1 for _ in (folder / "images").iterdir())
    sides = {BARE: BARE_CODE, OURS: OUR_CODE}
    for code in sides.values():
        measured(code, folder)  # so that both find the files in memory
    found = {name: measured(code, folder) for name, code in sides.items()}
    print(f"{title}: {count} pictures")
    for name, (seconds, peak_mb) in found.items():
        speed = f"{seconds:8.1f} s {count / seconds:9.1f} pictures/s {peak_mb:7.0f} MB at most"
        print(f"  {name:<28}{speed}  {seconds / found[BARE][0]:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="?", type=int, default=20_000, help="of the set of small ones")
    asked = parser.parse_args()
    show("face-mask set", FACE_MASK)
    with tempfile.TemporaryDirectory() as folder:
        show("crops of it, one in 50 a twin", small_set(Path(folder) / "set", asked.pictures))


if __name__ == "__main__":
    main()
