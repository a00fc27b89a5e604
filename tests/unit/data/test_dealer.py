import pickle
import subprocess
import sys

import numpy as np

from vigie.data import split
from vigie.data.dealer import Dealer
from vigie.data.parts import Part
from vigie.data.split import Deck

SHARES: dict[Part, float] = {"train": 0.7, "validation": 0.15, "test": 0.15}


def deck(pictures: int) -> Deck:
    rng = np.random.default_rng(3)
    boxes = rng.integers(0, 3, (pictures, 2)).astype(np.int32)
    names = [f"{number}.jpg" for number in range(pictures)]
    return Deck(names, ["cat", "dog"], boxes, np.arange(pictures, dtype=np.intp))


def test_pictures_are_dealt_as_they_would_be_here() -> None:
    with Dealer() as dealer:
        assert dealer.draw(deck(60), SHARES, seed=4) == split.draw(deck(60), SHARES, seed=4)


FRESH = """
import pickle, sys
from vigie.data.dealer import Dealer

asked, shares = pickle.load(sys.stdin.buffer)
with Dealer() as dealer:
    dealer.start()
    parts = dealer.draw(asked, shares, seed=4, kept={7: "test"})
    assert "sklearn" not in sys.modules
with Dealer() as dealer:
    dealer.start()  # and nothing is dealt
print(",".join(parts))
"""


def test_a_process_that_has_not_loaded_scikit_learn_leaves_it_to_another() -> None:
    asked = deck(60)
    done = subprocess.run(
        [sys.executable, "-c", FRESH], input=pickle.dumps((asked, SHARES)), capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    assert done.stdout.decode().strip().split(",") == split.draw(asked, SHARES, seed=4, kept={7: "test"})
