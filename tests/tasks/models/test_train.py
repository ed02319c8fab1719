"""Training: a real classifier, stored in files without code."""

import io
import json
import zipfile
from pathlib import PurePath

import numpy as np
import pytest
import safetensors.numpy
import skops.io

from resultstore import BadInput
from resultstore_tasks import samples
from resultstore_tasks.models import task as models

# Trusted types of a forest's file besides plain scikit-learn: listed here, never taken from the file itself.
TRUSTED = {"logistic": [], "forest": ["sklearn.tree._tree.Tree"]}


def learned(content: bytes, target: str, kind: str = "logistic", report=lambda *_: None):
    given = models.read_examples(io.BytesIO(content), target=target)
    return given, models.fit_model(given, kind=kind, report=report)


@pytest.mark.parametrize("kind", ["logistic", "forest"])
def test_loaded_model_predicts_as_the_trained_one(wine, kind):
    given, trained = learned(wine, "cultivar", kind)

    loaded = skops.io.loads(models.as_skops(trained), trusted=TRUSTED[kind])

    assert (loaded.predict(given.values) == trained.model.predict(given.values)).all()
    assert np.array_equal(loaded.predict_proba(given.values), trained.model.predict_proba(given.values))


@pytest.mark.parametrize("sample", [samples.wine(), samples.digits()], ids=["wine", "digits"])
def test_model_predicts_unseen_rows_well(sample):
    target = sample.content.partition(b"\n")[0].decode().split(",")[-1]

    _, trained = learned(sample.content, target)

    assert trained.metrics.accuracy > 0.93
    assert trained.metrics.f1 > 0.93
    assert trained.metrics.test_rows == pytest.approx(trained.metrics.rows / 4, abs=1)


def test_the_tensors_alone_are_enough_to_predict(wine):
    given, trained = learned(wine, "cultivar")
    content = models.as_safetensors(trained)

    tensors = safetensors.numpy.load(content)
    scores = (given.values - tensors["mean"]) / tensors["scale"] @ tensors["coefficients"].T + tensors["intercepts"]
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    names = json.loads(header["names"])
    classes = np.array(names["classes"])

    assert (classes[scores.argmax(axis=1)] == trained.model.predict(given.values)).all()
    assert names["features"] == given.features


def test_no_file_of_a_model_holds_a_pickle(wine):
    _, trained = learned(wine, "cultivar", "forest")

    assert skops.io.get_untrusted_types(data=models.as_skops(trained)) == TRUSTED["forest"]
    with zipfile.ZipFile(io.BytesIO(models.as_skops(trained))) as archive:
        assert {PurePath(name).suffix for name in archive.namelist()} <= {".json", ".npy"}
        # numpy's format holds a pickle for arrays of objects (NEP 1): there must be none.
        for name in archive.namelist():
            if name.endswith(".npy"):
                np.load(io.BytesIO(archive.read(name)), allow_pickle=False)


def test_the_same_table_gives_the_same_model(wine):
    one, other = (models.as_safetensors(learned(wine, "cultivar")[1]) for _ in range(2))

    assert one == other


def test_each_fold_is_told(wine):
    told: list[tuple[float, float, str]] = []

    learned(wine, "cultivar", report=lambda *step: told.append(step))

    assert [done for done, _, _ in told] == [0, 1, 2, 3, 4, 5, 6]
    assert {total for _, total, _ in told} == {6}
    assert told[1][2].startswith("fold 1 of 5: accuracy")


ROWS = "".join(f"{n},{n % 3},{'ab'[n % 2]}\n" for n in range(40))


@pytest.mark.parametrize(
    ("table", "target", "reason"),
    [
        ("x,y,c\n" + ROWS, "quality", "no column 'quality' to predict; its columns are: x, y, c"),
        ("x,y,c\n" + ROWS, "x", "the column 'c' holds text, not numbers"),
        (
            "x,y\n" + "".join(f"{n},{n}\n" for n in range(300)),
            "x",
            "'x' has more than 100 different values; a classifier takes",
        ),
        ("x,y\n" + "1,2\n" * 20, "y", "'y' has 1 different values"),
        ("x,y,c\n" + ROWS + "1,,a\n", "c", "the column 'y' has empty cells; fill or drop"),
        ("x,y,c\n" + ROWS + "1,1,z\n", "c", "the class 'z' of 'c' has 1 rows; give each class 4"),
        ("x,y,c\n" + ROWS.replace("7,1,b", "7,inf,b"), "c", "the column 'y' has a NaN or an infinity"),
        ("x,y,c\n" + ROWS.replace("7,1,b", "7,-1e308,b"), "c", "the column 'y' has numbers over 1e\\+100"),
        ("c\na\nb\n", "c", "no column but 'c'"),
        ("x,c\n", "c", "a header and no rows"),
        ("", "c", "it is empty"),
    ],
)
def test_unusable_table_is_refused_with_the_reason(table, target, reason):
    with pytest.raises(BadInput, match=reason):
        learned(table.encode(), target)


def test_four_rows_a_class_are_enough():
    rows = "".join(f"{n + 10 * (n % 5)},{'abcde'[n % 5]}\n" for n in range(20))

    _, trained = learned(("x,c\n" + rows).encode(), "c")

    assert trained.metrics.classes == 5


def test_rows_over_the_cap_are_refused(monkeypatch):
    monkeypatch.setattr(models, "CAPS", models.Caps(bytes=10_000, rows=30, columns=2))

    with pytest.raises(BadInput, match="more than 30 rows"):
        learned(("x,c\n" + "1,a\n" * 31).encode(), "c")
    with pytest.raises(BadInput, match="3 columns, over the cap of 2"):
        learned(("x,y,c\n" + ROWS).encode(), "c")
    with pytest.raises(BadInput, match="over the cap of 10,000 bytes"):
        learned(("x,c\n" + "1,a\n" * 3000).encode(), "c")
