"""Writes metrics.json beside itself: logits, targets and what scikit-learn's definitions give for them.

Made with NumPy 2.x alone (scikit-learn's formulas written out over counts); compare with 1e-12 relative.
"""

import json
import pathlib

import numpy as np

rng = np.random.default_rng(7)
logits = np.round(rng.normal(size=(60, 5)), 2)
labels = rng.integers(0, 4, size=60)  # class 4 never occurs
predicted = logits.argmax(1)

confusion = np.zeros((5, 5), int)
np.add.at(confusion, (labels, predicted), 1)
tp = np.diag(confusion).astype(float)
column, row = confusion.sum(0), confusion.sum(1)
with np.errstate(divide="ignore", invalid="ignore"):
    precision = np.nan_to_num(tp / column)
    recall = np.nan_to_num(tp / row)
    f1 = np.nan_to_num(2 * precision * recall / (precision + recall))
order = np.argsort(-logits, axis=1, kind="stable")

prediction = rng.normal(size=(40, 2))
target = prediction + rng.normal(size=(40, 2)) * [0.3, 1.5]
residual = ((target - prediction) ** 2).sum(0)
total = ((target - target.mean(0)) ** 2).sum(0)

result = {
    "numpy": np.__version__,
    "logits": logits.ravel().tolist(),
    "labels": labels.tolist(),
    "accuracy": float((predicted == labels).mean()),
    "top_3": float((order[:, :3] == labels[:, None]).any(1).mean()),
    "confusion": confusion.ravel().tolist(),
    "precision": precision.tolist(),
    "recall": recall.tolist(),
    "f1": f1.tolist(),
    "prediction": prediction.ravel().tolist(),
    "target": target.ravel().tolist(),
    "r2": float((1 - residual / total).mean()),
    "mae": float(np.abs(prediction - target).mean()),
    "mse": float(((prediction - target) ** 2).mean()),
}
pathlib.Path(__file__).with_name("metrics.json").write_text(json.dumps(result))
