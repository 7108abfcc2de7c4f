import numpy as np
from scipy.sparse import csr_array

from pico_maml.trainers.word_classes.neighbour_vectors import clusters, neighbour_vectors, ppmi

COUNTS = np.array([[8, 1, 0, 0], [4, 5, 1, 0], [0, 3, 6, 3], [2, 1, 5, 9], [0, 0, 0, 0]], dtype=np.int32)


def test_ppmi_is_that_of_its_formula():
    joint = COUNTS / COUNTS.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(joint / (joint.sum(1, keepdims=True) * joint.sum(0)))
    found = ppmi(csr_array(COUNTS))
    np.testing.assert_allclose(found.toarray(), np.where(expected > 0, expected, 0), rtol=1e-6)
    assert 0 < found.nnz < (COUNTS > 0).sum(), "cells without information are not stored"


def test_vectors_are_singular_vectors_of_length_one():
    vectors = neighbour_vectors(csr_array(COUNTS), 3, seed=0)
    left, values, _ = np.linalg.svd(ppmi(csr_array(COUNTS)).toarray())
    expected = left[:, :3] * np.sqrt(values[:3])
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    expected = np.divide(expected, norms, out=np.zeros_like(expected), where=norms > 1e-9)
    np.testing.assert_allclose(vectors @ vectors.T, expected @ expected.T, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 1, 0], atol=1e-6)
    assert neighbour_vectors(csr_array(COUNTS), 100, seed=0).shape == (5, 4)


def test_clusters_are_numbered_from_the_largest():
    points = np.array([[0.0], [0.1], [5.0], [5.1], [5.2], [9.0]])
    assert clusters(points, 3, seed=1).tolist() == [1, 1, 0, 0, 0, 2]
