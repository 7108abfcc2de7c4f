"""Vectors of words, or of tokens, from their neighbours: words that occur in the same places lie close together."""

import numpy as np
from scipy.sparse import csr_array


def ppmi(neighbours: csr_array) -> csr_array:
    """Positive pointwise mutual information of (V, C) counts (Levy et al. 2015): max(0, log p(v, c) / p(v) p(c))."""
    counts = neighbours.tocoo()
    total, of_row, of_column = counts.sum(), counts.sum(1), counts.sum(0)
    data = np.log(counts.data * (total / (of_row[counts.row] * of_column[counts.col].astype(np.float64))))
    positive = data > 0
    cells = counts.row[positive], counts.col[positive]
    return csr_array((data[positive].astype(np.float32), cells), counts.shape)


def neighbour_vectors(neighbours: csr_array, dimensions: int, seed: int) -> np.ndarray:
    """Return (V, D) vectors of length 1 from (V, C) counts of neighbours, zero where a row has no information.

    They are the left singular vectors of the PPMI, times the root of the singular values (Levy et al. 2015). D is
    `dimensions`, or less if V or C is.
    """
    # Imported here, because it takes a second that runs without vectors need not wait.
    from sklearn.preprocessing import normalize
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    matrix = ppmi(neighbours)
    dimensions = min(dimensions, *matrix.shape)
    with threadpool_limits(1):  # threads add up in another order, and then a seed would not give the same vectors
        left, values, _ = randomized_svd(matrix, dimensions, n_iter=4, random_state=seed)
    return normalize(left * np.sqrt(values))


def clusters(vectors: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the (V,) numbers of k-means clusters of (V, D) vectors, the largest cluster first."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # as above
        found = KMeans(count, n_init=2, random_state=seed).fit_predict(vectors)
    _, found, sizes = np.unique(found, return_inverse=True, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[found]
