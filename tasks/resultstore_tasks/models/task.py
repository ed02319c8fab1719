"""Task `models.train`: a classifier fitted to a table, stored in files that hold no code."""

import json
from typing import BinaryIO

import msgspec
import numpy as np
import safetensors.numpy
import skops.io
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from resultstore import Artifact, Store
from resultstore.backends.celery import store_of
from resultstore_tasks.app import app
from resultstore_tasks.arguments import file_stem, naming, offered
from resultstore_tasks.contracts import ReportProgress, silent
from resultstore_tasks.csv_reader.dialect import Encoding, Header
from resultstore_tasks.csv_reader.reader import Caps, Table
from resultstore_tasks.models.labelled import Examples, examples_of
from resultstore_tasks.models.offer import TRAIN, Kind, Train

SEED = 20_260
"""Seed of the split, the folds and the forest: a task that runs twice gives the same model."""

FOLDS = 5
CAPS = Caps(bytes=TRAIN.max_bytes, rows=500_000, columns=1_000, cells=8_000_000)
FOREST_BYTES = 256 * 1024 * 1024
"""Memory limit of a forest's trees; a larger forest gets fewer leaves for each tree."""
_TREES = 100
_NODE_BYTES = 64  # size of Node in sklearn/tree/_tree.pxd; it also has a float64 for each class

SKOPS_TYPE = "application/vnd.skops"
SAFETENSORS_TYPE = "application/vnd.safetensors"

Positions = NDArray[np.int64]


class ModelMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Quality of a model, and the size of its data.

    Args:
        accuracy, f1: on the held-out quarter of the rows; f1 is the macro average over the classes.
        cv_accuracy, cv_accuracy_sd: mean and standard deviation over the folds of the other three quarters.
        rows, test_rows: number of rows of the table, and of the held-out part.
        features, classes: numbers of features and classes.
    """

    accuracy: float
    f1: float
    cv_accuracy: float
    cv_accuracy_sd: float
    rows: int
    test_rows: int
    features: int
    classes: int


class Trained(msgspec.Struct, frozen=True):
    """A trained pipeline and its metrics."""

    model: Pipeline
    features: list[str]
    metrics: ModelMetrics


@offered(TRAIN)
def train(source: Artifact, options: Train) -> list[Artifact]:
    """Fit a classifier to a CSV table of numbers.

    Args:
        source: CSV of up to 500,000 rows, 1,000 columns and 8,000,000 cells. Every column but the target
            holds numbers, and none is missing.
        options: see `resultstore_tasks.models.offer.Train`.

    Returns the model as skops (loads without pickle), for `logistic` also its numbers as safetensors, and
    `metrics.json`. The metadata of each model file holds the metrics too.

    Raises BadInput when the table or the target cannot be learned from.
    """
    store = store_of(app)
    with naming("table", source), store.open(source) as stream:
        given = read_examples(stream, target=options.target, header=options.header, encoding=options.encoding)
        trained = fit_model(given, kind=options.kind, report=store.progress)
    stem = f"{file_stem(source, 'model')}-{options.kind}"
    return store_model(store, trained, stem=stem, target=options.target, kind=options.kind)


def store_model(store: Store, trained: Trained, *, stem: str, target: str, kind: Kind) -> list[Artifact]:
    """Store a trained model and its metrics, as files whose names begin with `stem`."""
    facts = {"kind": kind, "target": target, **msgspec.structs.asdict(trained.metrics)}
    files = [store.put(as_skops(trained), name=f"{stem}.skops", media_type=SKOPS_TYPE, metadata=facts)]
    if kind == "logistic":
        tensors = as_safetensors(trained)
        files.append(store.put(tensors, name=f"{stem}.safetensors", media_type=SAFETENSORS_TYPE, metadata=facts))
    metrics = json.dumps({**facts, "feature_names": trained.features}, indent=2).encode()
    return [
        *files,
        store.put(metrics, name="metrics.json", file_name=f"{stem}-metrics.json", media_type="application/json"),
    ]


def read_examples(stream: BinaryIO, *, target: str, header: Header = "auto", encoding: Encoding = "auto") -> Examples:
    """Read features and labels from the CSV in `stream`. Raises BadInput if it holds none to learn from."""
    return examples_of(Table(stream, caps=CAPS, header=header, encoding=encoding, named=(target,)), target)


def fit_model(given: Examples, *, kind: Kind, report: ReportProgress = silent) -> Trained:
    """Cross-validate, train and test a model. The same examples give the same model.

    Three quarters of the rows are for training, the last quarter for the test only. `report` receives each fold.
    """
    learn_x, test_x, learn_y, test_y = train_test_split(
        given.values, given.labels, test_size=0.25, stratify=given.labels, random_state=SEED
    )
    blank = _blank(kind, rows=len(learn_y), classes=len(given.classes))
    scores: list[float] = []
    # The rarest class has at least four rows, of which three are here.
    folds = min(FOLDS, int(np.unique(learn_y, return_counts=True)[1].min()))
    steps = folds + 1
    report(0, steps, "fitting")
    for seen, unseen in StratifiedKFold(folds, shuffle=True, random_state=SEED).split(learn_x, learn_y):
        scores.append(_accuracy(blank, learn_x, learn_y, seen=seen, unseen=unseen))
        report(len(scores), steps, f"fold {len(scores)} of {folds}: accuracy {scores[-1]:.3f}")
    model = blank.fit(learn_x, learn_y)
    judged = model.predict(test_x)
    report(steps, steps, "tested on held-out rows")
    metrics = ModelMetrics(
        accuracy=float(accuracy_score(test_y, judged)),
        f1=float(f1_score(test_y, judged, average="macro")),
        cv_accuracy=float(np.mean(scores)),
        cv_accuracy_sd=float(np.std(scores)),
        rows=len(given.labels),
        test_rows=len(test_y),
        features=len(given.features),
        classes=len(model.classes_),
    )
    # The model was trained on numbers: an array of strings as long as the longest label would exceed the table's size.
    model[-1].classes_ = np.array(given.classes)[model[-1].classes_]
    return Trained(model, given.features, metrics)


def as_skops(trained: Trained) -> bytes:
    """Return the pipeline in skops' format: JSON and arrays, for `skops.io.load` with a list of trusted types."""
    return bytes(skops.io.dumps(trained.model))


def as_safetensors(trained: Trained) -> bytes:
    """Return the numbers of a logistic model, for programs without scikit-learn.

    probability = softmax(((x - mean) / scale) @ coefficients.T + intercepts). For two classes there is one row, whose
    sigmoid is the probability of the second. The header holds the names of classes and features under `names`.
    """
    scaler, logistic = trained.model[0], trained.model[1]
    # safetensors writes an array's memory unchanged, and the coefficients are in column-major order.
    tensors = {
        "coefficients": np.ascontiguousarray(logistic.coef_),
        "intercepts": logistic.intercept_,
        "mean": scaler.mean_,
        "scale": scaler.scale_,
    }
    # One entry, because safetensors writes several in any order, and the same model must give the same bytes.
    names = json.dumps({"classes": logistic.classes_.tolist(), "features": trained.features})
    return safetensors.numpy.save(tensors, metadata={"names": names})


def _blank(kind: Kind, *, rows: int, classes: int) -> Pipeline:
    if kind == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000, random_state=SEED))
    # A tree of n leaves has 2 n - 1 nodes, and at most one leaf for each row.
    leaves = FOREST_BYTES // (_TREES * 2 * (_NODE_BYTES + 8 * classes))
    most = None if rows <= leaves else leaves
    return make_pipeline(RandomForestClassifier(n_estimators=_TREES, random_state=SEED, n_jobs=1, max_leaf_nodes=most))


def _accuracy(
    blank: Pipeline, values: NDArray[np.float64], labels: NDArray[np.int64], *, seen: Positions, unseen: Positions
) -> float:
    """Train on the rows `seen`, and return the share of the rows `unseen` that is predicted correctly."""
    model = clone(blank).fit(values[seen], labels[seen])
    return float(accuracy_score(labels[unseen], model.predict(values[unseen])))
