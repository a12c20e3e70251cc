"""Scores against values worked out by hand and against loops over the examples."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.errors import LabelError, ShapeError
from tinygrad_cnn.metrics import Scores, confusion_matrix


@st.composite
def labels_and_predictions(draw):
    classes = draw(st.integers(1, 6))
    one = st.lists(st.integers(0, classes - 1), max_size=40)
    labels = draw(one)
    size = len(labels)
    predictions = draw(
        st.lists(st.integers(0, classes - 1), min_size=size, max_size=size)
    )
    return labels, predictions, classes


def by_loops(labels, predictions, classes):
    """Accuracy, and the macro means of precision, recall and F1 (0 / 0 = 0)."""
    pairs = list(zip(labels, predictions, strict=True))
    precisions, recalls, f1s = [], [], []
    for k in range(classes):
        hits = sum(1 for label, taken in pairs if label == k and taken == k)
        taken_for_k = sum(1 for _, taken in pairs if taken == k)
        are_k = sum(1 for label, _ in pairs if label == k)
        precision = hits / taken_for_k if taken_for_k else 0.0
        recall = hits / are_k if are_k else 0.0
        both = precision + recall
        precisions.append(precision)
        recalls.append(recall)
        f1s.append(2 * precision * recall / both if both else 0.0)
    accuracy = sum(1 for a, b in pairs if a == b) / len(pairs) if pairs else 0.0
    return accuracy, *(sum(v) / classes for v in (precisions, recalls, f1s))


def figures(scores):
    return scores.accuracy, scores.precision, scores.recall, scores.f1


def test_the_scores_of_a_small_case_are_those_worked_out_by_hand():
    # Class 0: 2 of 3 found, taken 2 times. Class 1: 2 of 2 found, taken 3 times.
    # Class 2: 0 of 1 found, taken once. Accuracy 4/6.
    scores = Scores.of([0, 0, 0, 1, 1, 2], [0, 0, 2, 1, 1, 1])
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.precision == pytest.approx((2 / 2 + 2 / 3 + 0 / 1) / 3)
    assert scores.recall == pytest.approx((2 / 3 + 2 / 2 + 0 / 1) / 3)
    assert scores.f1 == pytest.approx((4 / 5 + 4 / 5 + 0) / 3)


def test_f1_is_the_mean_of_the_classes_and_not_the_f1_of_the_means():
    # Precisions 1 and 1/2, recalls 1/2 and 1: both F1 are 2/3.
    scores = Scores.of([0, 0, 1], [0, 1, 1])
    assert (scores.precision, scores.recall) == (0.75, 0.75)
    assert scores.f1 == pytest.approx(2 / 3)


@given(labels_and_predictions())
def test_the_scores_agree_with_loops_over_the_examples(case):
    assert figures(Scores.of(*case)) == pytest.approx(by_loops(*case))


@given(labels_and_predictions())
def test_rows_are_labels_and_columns_are_predictions(case):
    labels, predictions, classes = case
    expected = [[0] * classes for _ in range(classes)]
    for label, prediction in zip(labels, predictions, strict=True):
        expected[label][prediction] += 1
    matrix = confusion_matrix(labels, predictions, classes)
    assert matrix.tolist() == expected
    assert matrix.dtype == np.int64


def test_a_class_that_never_occurs_counts_as_zero():
    scores = Scores.of([0, 0], [0, 0], classes=4)
    assert figures(scores) == (1.0, 0.25, 0.25, 0.25)


def test_no_examples_score_zero():
    assert figures(Scores.of([], [], classes=3)) == (0.0, 0.0, 0.0, 0.0)
    assert figures(Scores.of([], [])) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_tensors_arrays_and_lists_of_any_integer_dtype_are_taken(dtype):
    labels, predictions = np.array([0, 1, 1], dtype), np.array([0, 1, 0], dtype)
    expected = [[1, 0], [1, 1]]
    assert confusion_matrix(labels, predictions).tolist() == expected
    tensors = tg.tensor(labels), tg.tensor(predictions)
    assert confusion_matrix(*tensors).tolist() == expected


@pytest.mark.parametrize(
    ("labels", "predictions"), [([-1], [0]), ([0], [3]), ([0.5], [0]), ([True], [0])]
)
def test_what_is_no_class_is_refused(labels, predictions):
    with pytest.raises(LabelError):
        confusion_matrix(labels, predictions, classes=3)


def test_different_numbers_of_labels_and_predictions_are_refused():
    with pytest.raises(ShapeError, match=r"\[2\] and predictions \[1\]"):
        confusion_matrix([0, 1], [0])


def test_scores_become_plain_json_values():
    scores = Scores(np.array([[1, 0], [1, 2]]), loss=0.5)
    values = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert values["confusion"] == [[1, 0], [1, 2]]
    assert (values["loss"], values["accuracy"]) == (0.5, 0.75)
    assert Scores(np.eye(2, dtype=int), loss=float("inf")).to_dict()["loss"] is None
