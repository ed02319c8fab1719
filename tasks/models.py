"""Models: fits a classifier to a table, and keeps it in files that hold no code."""

import json
from typing import Annotated, BinaryIO, Literal

import msgspec
import numpy as np
import pyarrow as pa
import safetensors.numpy
import skops.io
from numpy.typing import NDArray
from pydantic import Field
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from resultstore import Artifact, BadInput, Store
from resultstore.backends.celery import store_of
from tasks.app import app
from tasks.arguments import checked, file_stem, naming
from tasks.contracts import Report, silent
from tasks.csvfile import Caps, Table, listed

SEED = 20_260
"""Makes the split, the folds and the forest the same each time: a task that runs twice gives one model."""

FOLDS = 5
MAX_CLASSES = 100
CAPS = Caps(bytes=64 * 1024 * 1024, rows=500_000, columns=1_000)

SKOPS_TYPE = "application/vnd.skops"
SAFETENSORS_TYPE = "application/vnd.safetensors"

Kind = Literal["logistic", "forest"]


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """How well a model does on rows that it has not seen, and on what it was fitted.

    Args:
        accuracy, f1: on the held-out quarter; f1 is the macro average over the classes.
        cv_accuracy, cv_accuracy_sd: mean and standard deviation over the folds of the other three quarters.
        rows, test_rows: of the table, and of the held-out part.
        features, classes: how many there are.
    """

    accuracy: float
    f1: float
    cv_accuracy: float
    cv_accuracy_sd: float
    rows: int
    test_rows: int
    features: int
    classes: int


class Examples(msgspec.Struct, frozen=True):
    """What a table gives to learn from: one row of `values` (rows x features, float64) for each label."""

    features: list[str]
    values: NDArray[np.float64]
    labels: NDArray[np.str_]


class Trained(msgspec.Struct, frozen=True):
    """A fitted pipeline and how well it does."""

    model: Pipeline
    features: list[str]
    metrics: Metrics


@app.task(name="models.train")
@checked
def train(source: Artifact, target: Annotated[str, Field(min_length=1)], kind: Kind = "logistic") -> list[Artifact]:
    """Fit a classifier to a CSV table of numbers.

    Args:
        source: CSV in UTF-8 with a header row; every column but the target holds numbers, none is missing.
        target: the column to predict.
        kind: `logistic` (scaled, multinomial) or `forest` (100 trees).

    Returns the model as skops (loads without pickle), for `logistic` also its numbers as safetensors, and
    `metrics.json`; the metrics stand in the metadata of each model file.

    Raises BadInput when the table or the target cannot be learned from.
    """
    store = store_of(app)
    with naming("table", source), store.open(source) as stream:
        trained = fitted(examples(stream, target=target), kind=kind, report=store.progress)
    return kept(store, trained, stem=f"{file_stem(source, 'model')}-{kind}", target=target, kind=kind)


def kept(store: Store, trained: Trained, *, stem: str, target: str, kind: Kind) -> list[Artifact]:
    """Put a trained model into `store`, as files that begin with `stem`, with its metrics."""
    facts = {"kind": kind, "target": target, **msgspec.structs.asdict(trained.metrics)}
    files = [store.put(as_skops(trained), name=f"{stem}.skops", media_type=SKOPS_TYPE, metadata=facts)]
    if kind == "logistic":
        tensors = as_safetensors(trained)
        files.append(store.put(tensors, name=f"{stem}.safetensors", media_type=SAFETENSORS_TYPE, metadata=facts))
    metrics = json.dumps({**facts, "feature_names": trained.features}, indent=2).encode()
    return [*files, store.put(metrics, name="metrics.json", media_type="application/json")]


def examples(stream: BinaryIO, *, target: str) -> Examples:
    """Features and labels from the CSV in `stream`. Raises BadInput when it holds none that can be learned from."""
    table = Table(stream, caps=CAPS, block_size_bytes=_whole(CAPS)).whole()
    if target not in table.schema.names:
        raise BadInput(f"it has no column {target!r} to predict; its columns are: {listed(table.schema.names)}")
    _check_features(table, target)
    features = [name for name in table.schema.names if name != target]
    columns = [table[name].to_numpy().astype(np.float64) for name in features]
    labels = np.array([str(label) for label in table[target].to_pylist()])
    _check_labels(labels, target)
    return Examples(features, np.column_stack(columns), labels)


def fitted(given: Examples, *, kind: Kind, report: Report = silent) -> Trained:
    """Cross-validate, fit and judge a model of this kind, the same each time it is asked for.

    Three quarters of the rows are learned from, the last quarter only judges. `report` hears of each fold.
    """
    learn_x, test_x, learn_y, test_y = train_test_split(
        given.values, given.labels, test_size=0.25, stratify=given.labels, random_state=SEED
    )
    blank = _blank(kind)
    scores: list[float] = []
    # The rarest class has four rows at least, of which three are here.
    folds = min(FOLDS, int(np.unique(learn_y, return_counts=True)[1].min()))
    steps = folds + 1
    report(0, steps, "fitting")
    for seen, unseen in StratifiedKFold(folds, shuffle=True, random_state=SEED).split(learn_x, learn_y):
        model = clone(blank).fit(learn_x[seen], learn_y[seen])
        scores.append(float(accuracy_score(learn_y[unseen], model.predict(learn_x[unseen]))))
        report(len(scores), steps, f"fold {len(scores)} of {folds}: accuracy {scores[-1]:.3f}")
    model = blank.fit(learn_x, learn_y)
    judged = model.predict(test_x)
    report(steps, steps, "judged on held-out rows")
    metrics = Metrics(
        accuracy=float(accuracy_score(test_y, judged)),
        f1=float(f1_score(test_y, judged, average="macro")),
        cv_accuracy=float(np.mean(scores)),
        cv_accuracy_sd=float(np.std(scores)),
        rows=len(given.labels),
        test_rows=len(test_y),
        features=len(given.features),
        classes=len(model.classes_),
    )
    return Trained(model, given.features, metrics)


def as_skops(trained: Trained) -> bytes:
    """The pipeline in skops' format: JSON and arrays, to be read by `skops.io.load` with the types it may make."""
    return bytes(skops.io.dumps(trained.model))


def as_safetensors(trained: Trained) -> bytes:
    """The numbers of a logistic model, for programs without scikit-learn.

    probability = softmax(((x - mean) / scale) @ coefficients.T + intercepts); of two classes there is one row, and
    probability = sigmoid of it, for the second. The names of classes and features stand in the header, under `names`.
    """
    scaler, logistic = trained.model[0], trained.model[1]
    # safetensors writes an array's memory as it lies: the coefficients lie column by column.
    tensors = {
        "coefficients": np.ascontiguousarray(logistic.coef_),
        "intercepts": logistic.intercept_,
        "mean": scaler.mean_,
        "scale": scaler.scale_,
    }
    # One entry: safetensors writes several in any order, and the same model shall make the same bytes.
    names = json.dumps({"classes": logistic.classes_.tolist(), "features": trained.features})
    return safetensors.numpy.save(tensors, metadata={"names": names})


def _blank(kind: Kind) -> Pipeline:
    if kind == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000, random_state=SEED))
    return make_pipeline(RandomForestClassifier(n_estimators=100, random_state=SEED, n_jobs=1))


def _whole(caps: Caps) -> int:
    # One block holds all that the cap lets in, so that types are inferred from every row.
    assert caps.bytes is not None
    return caps.bytes


def _check_features(table: pa.Table, target: str) -> None:
    if len(table.schema) == 1:
        raise BadInput(f"it has no column beside {target!r} to learn from; send its features too")
    for field in table.schema:
        column = table[field.name]
        if column.null_count:
            raise BadInput(f"the column {field.name!r} has {column.null_count} empty cells; fill or drop those rows")
        numeric = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_boolean(field.type)
        if field.name != target and not numeric:
            raise BadInput(f"the column {field.name!r} holds {field.type}, not numbers; encode it or leave it out")
        if pa.types.is_floating(field.type) and not np.isfinite(column.to_numpy()).all():
            raise BadInput(f"the column {field.name!r} has a NaN or an infinity; fill or drop those rows")


def _check_labels(labels: NDArray[np.str_], target: str) -> None:
    found, counts = np.unique(labels, return_counts=True)
    if not 2 <= len(found) <= MAX_CLASSES:  # noqa: PLR2004 - a classifier tells two things apart at least
        raise BadInput(
            f"the column {target!r} has {len(found)} different values; a classifier takes 2 to {MAX_CLASSES}:"
            " name a column of classes"
        )
    if counts.min() < 4:  # noqa: PLR2004 - three to learn from in two folds at least, one to judge by
        rare = str(found[counts.argmin()])[:40]
        raise BadInput(f"the class {rare!r} of {target!r} has {counts.min()} rows; give each class 4 at least")
