"""Write scikit-learn's values of wgrad's metrics to metrics.json, next to itself.

    python3 -m venv venv && . venv/bin/activate
    pip install scikit-learn==1.9.1 scipy
    python crates/metrics/tests/metrics/generate.py
"""

import json
import warnings
from pathlib import Path

import numpy as np
import sklearn
from scipy.optimize import minimize
from sklearn import metrics as M
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression

warnings.filterwarnings("ignore")


def binary(seed, rows, share, digits):
    """Scores with ties: `digits` decimals."""
    rng = np.random.RandomState(seed)
    labels = (rng.rand(rows) < share).astype(int)
    logits = np.round(rng.standard_normal(rows) * 1.5 + 1.7 * labels - 1.0, digits)
    p = 1 / (1 + np.exp(-logits))
    false_positive_rate, recall, _ = M.roc_curve(labels, p, drop_intermediate=False)
    precision, pr_recall, _ = M.precision_recall_curve(labels, p)
    decided = (p > 0.5).astype(int)
    case = {
        "logits": logits,
        "labels": labels,
        "brier": M.brier_score_loss(labels, p),
        "roc": list(zip(false_positive_rate, recall)),
        "precision_recall": list(zip(pr_recall, precision))[::-1],
        "f2": M.fbeta_score(labels, decided, beta=2, zero_division=0),
        "f_half": M.fbeta_score(labels, decided, beta=0.5, zero_division=0),
        "specificity": M.recall_score(labels, decided, pos_label=0, zero_division=0),
        "balanced_accuracy": M.balanced_accuracy_score(labels, decided),
        "mcc": M.matthews_corrcoef(labels, decided),
        "kappa": M.cohen_kappa_score(labels, decided),
    }
    for strategy in ("uniform", "quantile"):
        observed, predicted = calibration_curve(labels, p, n_bins=7, strategy=strategy)
        case[strategy] = {"predicted": predicted, "observed": observed}
    isotonic = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(logits, labels)
    probe = np.linspace(logits.min() - 1, logits.max() + 1, 57)
    case["probe"], case["isotonic"] = probe, isotonic.predict(probe)

    # Platt's fit to machine precision: scikit-learn's own stops at a gradient of 1e-6.
    positives, negatives = labels.sum(), (1 - labels).sum()
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(w, t):
        z = w[0] * logits + (w[1] if len(w) > 1 else 0)
        d = (1 / (1 + np.exp(-z)) - t) / rows
        gradient = np.array([(d * logits).sum(), d.sum()][: len(w)])
        return (np.logaddexp(0, z) - t * z).mean(), gradient

    def fit(start, t):
        found = minimize(loss, start, (t,), jac=True, method="BFGS", options={"gtol": 1e-12})
        return found.x

    case["platt"] = fit(np.array([1.0, 0.0]), target)
    case["temperature"] = 1 / fit(np.array([1.0]), labels)[0]
    return case


def many(seed, rows, classes, absent=None):
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, classes, rows)
    if absent is not None:
        labels[labels == absent] = 0
    scores = np.round(rng.rand(rows, classes) + 0.5 * np.eye(classes)[labels], 1)
    predicted = scores.argmax(axis=1)
    every = list(range(classes))
    case = {"scores": scores.ravel(), "classes": classes, "labels": labels, "predicted": predicted}
    for average in ("macro", "micro", "weighted"):
        options = {"average": average, "zero_division": 0}
        case[average] = {
            "precision": M.precision_score(labels, predicted, **options),
            "recall": M.recall_score(labels, predicted, **options),
            "f1": M.f1_score(labels, predicted, **options),
            "f2": M.fbeta_score(labels, predicted, beta=2, **options),
        }
    case["balanced_accuracy"] = M.balanced_accuracy_score(labels, predicted)
    case["mcc"] = M.matthews_corrcoef(labels, predicted)
    for weights in (None, "linear", "quadratic"):
        case[f"kappa_{weights}"] = M.cohen_kappa_score(labels, predicted, labels=every, weights=weights)
    case["top_k"] = [M.top_k_accuracy_score(labels, scores, k=k, labels=every) for k in range(1, classes)]
    return case


def regression(seed, rows):
    rng = np.random.RandomState(seed)
    truth = rng.standard_normal(rows) * 3 + 10
    predicted = truth + rng.standard_normal(rows)
    return {
        "truth": truth,
        "predicted": predicted,
        "mae": M.mean_absolute_error(truth, predicted),
        "mse": M.mean_squared_error(truth, predicted),
        "rmse": M.root_mean_squared_error(truth, predicted),
        "r2": M.r2_score(truth, predicted),
    }


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


fixtures = {
    "scikit-learn": sklearn.__version__,
    "binary": [binary(1, 60, 0.5, 3), binary(2, 150, 0.3, 1), binary(3, 200, 0.08, 1)],
    "many": [many(4, 50, 3), many(5, 90, 5), many(6, 60, 4, absent=2)],
    "regression": [regression(7, 40)],
}
Path(__file__).with_name("metrics.json").write_text(json.dumps(plain(fixtures)) + "\n")
