"""Sample photos and tables that come with installed packages, to try the tasks on."""

import csv
import io
from importlib.resources import files

import msgspec
from sklearn.datasets import load_digits, load_wine
from sklearn.utils import Bunch


class Sample(msgspec.Struct, frozen=True):
    """One sample input."""

    file_name: str
    media_type: str
    content: bytes


def photos() -> list[Sample]:
    """Return three photos: two of scikit-learn's data sets, and one of matplotlib's sample data."""
    sklearn_images = files("sklearn.datasets").joinpath("images")
    matplotlib_images = files("matplotlib").joinpath("mpl-data", "sample_data")
    return [
        Sample("china.jpg", "image/jpeg", sklearn_images.joinpath("china.jpg").read_bytes()),
        Sample("flower.jpg", "image/jpeg", sklearn_images.joinpath("flower.jpg").read_bytes()),
        Sample("grace_hopper.jpg", "image/jpeg", matplotlib_images.joinpath("grace_hopper.jpg").read_bytes()),
    ]


def wine() -> Sample:
    """Return 178 Italian wines of three cultivars with 13 chemical measures each; the target column is `cultivar`.

    UCI Machine Learning Repository, data set 109, as scikit-learn ships it.
    """
    return Sample("wine.csv", "text/csv", _as_csv(load_wine(), target="cultivar"))


def digits() -> Sample:
    """Return 1,797 handwritten digits of 8 x 8 grey pixels; the target column is `digit`.

    UCI Machine Learning Repository, data set 80, as scikit-learn ships it.
    """
    return Sample("digits.csv", "text/csv", _as_csv(load_digits(), target="digit"))


def _as_csv(bunch: Bunch, *, target: str) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*(name.replace("/", "_") for name in bunch.feature_names), target])
    for values, label in zip(bunch.data.tolist(), bunch.target, strict=True):
        rows.writerow([*(f"{value:g}" for value in values), bunch.target_names[label]])
    return text.getvalue().encode()
