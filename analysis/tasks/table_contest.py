"""Wide perceptrons, dense and sparse, against a random forest on the rows of a table (arXiv 2309.03800, C.3)."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sandtable.analysis.tasks.frontier_experiments import TableContest
from sandtable.analysis.tasks.frontier_training import (
    DATA,
    NETWORK,
    TRAINING,
    one_thread,
    require_device,
    sparse_perceptron,
)
from sandtable.simulators.decision_process import Batch
from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.random import fold_in, make_key, uniform
from sandtable.simulators.tasks.tabular import Tabular
from sandtable.training import AdamW, FullBatch, JsonLines, OwnExamples, cosine, fit, replica_keys

if TYPE_CHECKING:
    from sandtable.analysis.store import Run

PERCEPTRON, FOREST = "perceptron", "random forest"


def hold_contest(experiment: TableContest, run: "Run") -> list[Mapping[str, Any]]:
    """Train perceptrons and forests, and return a row for each width and sparsity, and one for the forest.

    Perceptrons and the forest of a seed have the same rows, as ``Tabular`` encodes them (normal scores, by ranks in the
    whole training split). They are tested on the test split, by which nothing is chosen.

    Returns:
        ``learner``; ``width`` and ``sparsity``, None for the forest; ``rows``, m; ``tested``, how many; ``majority``,
        the accuracy of always telling the class that is most frequent in the test split; ``accuracies`` of the seeds,
        and ``accuracy``, their mean.

    Raises:
        InputError: The table cannot be used (see ``Tabular``), or has fewer rows than are asked for.
        MissingExtraError: scikit-learn is not installed.
        UnavailableError: The device is not there.
    """
    require_forests()
    require_device(experiment.device)
    train, test = (_split(experiment, split) for split in ("train", "test"))
    examples, tests = train.dataset(), test.dataset()
    chosen = draw_rows(experiment, len(examples.target))
    sets = Batch(*(torch.as_tensor(part[chosen]) for part in examples))
    named: list[dict[str, Any]] = [
        {"learner": PERCEPTRON, "width": width, "sparsity": kind}
        for width in experiment.widths
        for kind in experiment.sparsities
    ]
    with one_thread():
        told = [row for width in experiment.widths for row in _perceptrons(experiment, width, train, sets, tests, run)]
    named.append({"learner": FOREST, "width": None, "sparsity": None})
    told.append([
        forest_accuracy(experiment, seed, Batch(*(part[rows] for part in examples)), tests)
        for seed, rows in enumerate(chosen)
    ])  # fmt: skip
    known = {
        "rows": chosen.shape[1],
        "tested": len(tests.target),
        "majority": float(np.bincount(tests.target).max() / len(tests.target)),
    }
    return [
        {**name, **known, "accuracies": accuracies, "accuracy": float(np.mean(accuracies))}
        for name, accuracies in zip(named, told, strict=True)
    ]


def require_forests() -> None:
    """Raise unless scikit-learn is installed.

    Raises:
        MissingExtraError: It is not.
    """
    try:
        import sklearn.ensemble  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the random forest", "tabular") from error


def draw_rows(experiment: TableContest, available: int) -> np.ndarray:
    """Return the rows of the training split that each seed has, distinct, int64 [seeds, m].

    Raises:
        InputError: There are fewer.
    """
    samples = experiment.samples or available
    if not 1 <= samples <= available:
        raise InputError(
            f"samples = {samples}: the training split of {experiment.data} has {available} rows; 0 takes all of them"
        )
    keys = fold_in(fold_in(make_key(experiment.seed), np.arange(experiment.seeds)), DATA)
    return np.argsort(uniform(keys[:, None], np.arange(available)), axis=1, kind="stable")[:, :samples]


def forest_accuracy(experiment: TableContest, seed: int, train: Batch, test: Batch) -> float:
    """Return the test accuracy of the forest whose smallest leaf has the best accuracy out of bag."""
    from sklearn.ensemble import RandomForestClassifier

    forests = [
        RandomForestClassifier(experiment.trees, min_samples_leaf=leaf, oob_score=True, random_state=seed)
        for leaf in experiment.leaves
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some inputs do not have OOB scores")  # with few trees
        best = max((forest.fit(*train) for forest in forests), key=lambda forest: forest.oob_score_)
    return float(best.score(*test))


def _split(experiment: TableContest, split: str) -> Tabular:
    return Tabular(experiment.data, experiment.target, split, experiment.test_fraction, experiment.seed)


def _perceptrons(
    experiment: TableContest, width: int, task: Tabular, sets: Batch, tests: Batch, run: "Run"
) -> list[list[float]]:
    """Return the test accuracies of perceptrons of one width, of each seed, for each sparsity."""
    cells = len(experiment.sparsities)
    keys = replica_keys(experiment.seed, experiment.seeds).repeat(cells)
    kinds = [kind for kind in experiment.sparsities for _ in range(experiment.seeds)]
    network = sparse_perceptron(fold_in(keys, NETWORK), task.inputs, width, task.outputs, kinds)
    own = Batch(*(part.repeat(cells, *[1] * (part.ndim - 1)).to(experiment.device) for part in sets))
    fit(
        network,
        OwnExamples(task, experiment.batch, own),
        key=fold_in(keys, TRAINING),
        steps=experiment.steps,
        optimizer=AdamW(experiment.rate, weight_decay=experiment.weight_decay),
        schedule=cosine(experiment.steps),
        metrics=JsonLines(run.folder / f"width-{width}.jsonl"),
        device=experiment.device,
        progress=run.progress(),
    )
    judge = FullBatch(task, Batch(*(torch.as_tensor(part).to(experiment.device) for part in tests)))
    with torch.no_grad():
        _, metrics, _ = judge.loss(network, keys, (), 0)
    return metrics["accuracy"].unflatten(0, (cells, experiment.seeds)).tolist()
