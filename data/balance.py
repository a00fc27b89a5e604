"""What balancing does to the classes of the training part: a factor a class, and its effect as a table.

repeat_factors: repeat factor sampling of LVIS (Gupta, Dollár, Girshick 2019, arXiv:1908.03195, appendix B.2). A class
on the share f of the pictures has the factor max(1, sqrt(t / f)), a picture the largest factor of its classes: so often
is it seen in an epoch.

class_weights: the loss of an object counts by its class (as in Cui et al. 2019, arXiv:1901.05555). The weight is the
same factor, so one threshold tells what is rare, scaled so that the mean over all boxes is 1: the loss, and with it the
learning rate that suits, keeps its size. The square root keeps the rarest class from ruling the training, which the
plain inverse of the frequency lets it do (the same paper, section 2).
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from vigie.data.manifest import load_manifest
from vigie.experiment import Balance


def class_factors(records: Path, balance: Balance) -> dict[str, float]:
    """Label -> repeat factor or weight in the loss, in the order of the classes; 1 for all without balancing.

    Raises:
        BadData: the records are missing or half-made.
    """
    return {str(name): float(value) for name, value in effect(records, balance)["factor"].items()}


def rarity(records: Path, balance: Balance) -> dict[str, float]:
    """Label -> repeat factor by the threshold of the balance, whatever its method; above 1 a class is rare.

    Raises:
        BadData: the records are missing or half-made.
    """
    return class_factors(records, balance.model_copy(update={"method": "repeat_factors"}))


def repeat_factors(pictures: Mapping[str, int], all_pictures: int, threshold: float) -> dict[str, float]:
    """LVIS's r for each class, from the number of pictures that show it; a class on no picture repeats nothing."""
    return {
        name: max(1.0, (threshold * all_pictures / count) ** 0.5) if count else 1.0 for name, count in pictures.items()
    }


def effect(records: Path, balance: Balance) -> pd.DataFrame:
    """A row a class of the training part: what an epoch holds of it, before and, expected, after balancing.

    Columns: `pictures` that show it, `boxes`, `share` of all boxes, `factor` (repeat factor or weight), and
    `pictures_after`, `boxes_after`, `share_after`. Under class_weights the pictures stay and a box counts for as many
    as its weight.

    Raises:
        BadData: the records are missing or half-made.
    """
    manifest = load_manifest(records)
    boxes = pd.read_csv(records / "train_labels.csv", usecols=["filename", "class"], dtype=str, keep_default_na=False)
    classes = pd.Index(manifest.classes, name="class")
    table = pd.DataFrame(
        {
            "pictures": boxes.drop_duplicates().groupby("class").size().reindex(classes, fill_value=0),
            "boxes": boxes.groupby("class").size().reindex(classes, fill_value=0),
        }
    )
    table["share"] = table["boxes"] / table["boxes"].sum()
    factors = pd.Series(1.0, index=classes)
    if balance.method != "none":
        shown = {str(name): int(count) for name, count in table["pictures"].items()}
        factors = pd.Series(repeat_factors(shown, manifest.parts["train"].pictures, balance.threshold), index=classes)
    if balance.method == "class_weights":
        factors *= table["boxes"].sum() / (factors * table["boxes"]).sum()
    table["factor"] = factors
    if balance.method == "repeat_factors":
        after = _repeated(boxes, factors, classes)
    else:
        after = pd.DataFrame({"pictures": table["pictures"].astype(float), "boxes": table["boxes"] * factors})
    table["pictures_after"] = after["pictures"]
    table["boxes_after"] = after["boxes"]
    table["share_after"] = table["boxes_after"] / table["boxes_after"].sum()
    return table


def _repeated(boxes: pd.DataFrame, factors: pd.Series, classes: pd.Index) -> pd.DataFrame:
    """Expected pictures and boxes of each class when a picture is seen as often as its rarest class asks."""
    times = boxes.assign(times=boxes["class"].map(factors)).groupby("filename")["times"].transform("max")
    seen = boxes.assign(times=times)
    return pd.DataFrame(
        {
            "pictures": seen.drop_duplicates(["filename", "class"]).groupby("class")["times"].sum(),
            "boxes": seen.groupby("class")["times"].sum(),
        }
    ).reindex(classes, fill_value=0.0)
