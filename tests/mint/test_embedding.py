"""Embeddings, bags of them and one-hot codes: examples by hand, what PyTorch does at the edges, refusals, shells."""

import itertools

import numpy as np
import pytest

import mint

TABLE = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, -8.0], [6.0, 8.0]])
ONES = np.ones((3, 2))
#: What PyTorch adds to a norm that it divides by.
SLACK = 1e-7


def weight_gradient(op, *arrays, gy, **hyper):
    gradients = op(*arrays, **hyper)[1](gy)
    assert [g is None for g in gradients] == [a is None or a.dtype.kind == "i" for a in arrays]
    return gradients[1].tolist()


# --- embedding ----------------------------------------------------------------------------------------------


def test_embedding_reads_rows_and_adds_up_what_they_hand_back():
    y, vjp = mint.embedding(np.array([[1, 0], [1, 1]]), TABLE)
    assert y.tolist() == [[[1, 0], [3, 4]], [[1, 0], [1, 0]]]
    gy = np.array([[[1.0, 2.0], [10.0, 20.0]], [[100.0, 200.0], [1000.0, 2000.0]]])
    assert vjp(gy)[1].tolist() == [[10, 20], [1101, 2202], [0, 0], [0, 0]]
    assert mint.embedding(np.array(2), TABLE)[0].tolist() == [0, -8]


def test_the_row_of_padding_is_read_but_not_learned():
    indices = np.array([0, 3, 3])
    for padding in (3, -1):
        y, _ = mint.embedding(indices, TABLE, padding_idx=padding)
        assert y[1].tolist() == [6, 8]
        gw = weight_gradient(mint.embedding, indices, TABLE, gy=ONES, padding_idx=padding)
        assert gw == [[1, 1], [0, 0], [0, 0], [0, 0]]


def test_a_frequent_row_learns_as_much_as_a_rare_one():
    gw = weight_gradient(mint.embedding, np.array([0, 3, 3]), TABLE, gy=ONES, scale_grad_by_freq=True)
    assert gw == [[1, 1], [0, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("degree", "norms"),
    [(2.0, [5, 1, 8, 10]), (1.0, [7, 1, 8, 14]), (np.inf, [4, 1, 8, 8]), (-np.inf, [3, 0, 0, 6]), (0.0, [2, 1, 1, 2])],
)
def test_max_norm_shortens_the_rows_that_are_longer(degree, norms):
    before = TABLE.copy()
    most = 1.0
    y, vjp = mint.embedding(np.arange(4), TABLE, max_norm=most, norm_type=degree)
    factors = np.array([[most / (n + SLACK) if n > most else 1.0] for n in norms])
    assert np.abs(y - TABLE * factors).max() <= 4 * np.finfo(float).eps
    assert np.array_equal(TABLE, before)
    # the gradient is that of the rows as they are read
    gy = np.arange(8.0).reshape(4, 2)
    assert np.array_equal(vjp(gy)[1], gy)


def test_a_norm_neither_overflows_nor_hides_what_is_not_finite():
    for degree in (2.0, 1.0, 3.0):
        y, _ = mint.embedding(np.array([0]), np.full((1, 4), 1.5e308), max_norm=1.0, norm_type=degree)
        assert np.allclose(y, 4 ** (-1 / degree), rtol=1e-15)
    odd = np.array([[np.inf, 1.0], [np.nan, 9.0]])
    y, _ = mint.embedding(np.array([0, 1]), odd, max_norm=1.0)
    # as in PyTorch: ∞·0 and 1·0; and NaN is not larger than max_norm
    assert np.array_equal(y, [[np.nan, 0], [np.nan, 9]], equal_nan=True)
    # the number of elements other than 0 counts NaN
    y, _ = mint.embedding(np.array([1]), odd, max_norm=1.0, norm_type=0.0)
    assert np.array_equal(y, [[np.nan, 9 / (2 + SLACK)]], equal_nan=True)


def test_nothing_to_read():
    for indices, table, shape in (
        (np.zeros((2, 0), int), TABLE, (2, 0, 2)),
        (np.zeros(0, int), TABLE[:0], (0, 2)),
        (np.array([1, 2]), TABLE[:, :0], (2, 0)),
    ):
        for hyper in ({}, {"scale_grad_by_freq": True}, {"max_norm": 1.0, "norm_type": np.inf}):
            y, vjp = mint.embedding(indices, table, **hyper)
            assert y.shape == shape
            assert np.array_equal(vjp(y)[1], np.zeros_like(table))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_indices_of_any_integer_dtype(dtype):
    indices, offsets = np.array([3, 0, 3], dtype), np.array([0, 2], dtype)
    assert np.array_equal(mint.embedding(indices, TABLE)[0], TABLE[[3, 0, 3]])
    assert mint.embedding_bag(indices, TABLE, offsets, mode="sum")[0].tolist() == [[9, 12], [6, 8]]
    assert mint.one_hot(indices)[0].tolist() == [[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1]]


# --- embedding_bag ------------------------------------------------------------------------------------------

BAG = np.array([0, 1, 1, 2])
OFFSETS = np.array([0, 1, 1])


def test_bags_from_offsets_and_bags_from_rows():
    # the second bag is empty
    for mode, expected in (
        ("sum", [[3, 4], [0, 0], [2, -8]]),
        ("mean", [[3, 4], [0, 0], [2 / 3, -8 / 3]]),
        ("max", [[3, 4], [0, 0], [1, 0]]),
    ):
        assert mint.embedding_bag(BAG, TABLE, OFFSETS, mode=mode)[0].tolist() == expected
    rows = np.array([[0, 1], [1, 2]])
    for mode in ("sum", "mean", "max"):
        of_rows, back = mint.embedding_bag(rows, TABLE, mode=mode)
        of_offsets, back_from_offsets = mint.embedding_bag(rows.ravel(), TABLE, np.array([0, 2]), mode=mode)
        assert np.array_equal(of_rows, of_offsets)
        gy = np.array([[1.0, 2.0], [3.0, 4.0]])
        assert np.array_equal(back(gy)[1], back_from_offsets(gy)[1])


def test_the_last_offset_ends_the_last_bag():
    for last, total in ((4, [2, -8]), (3, [2, 0]), (1, [0, 0])):
        offsets = np.append(OFFSETS, last)
        y, vjp = mint.embedding_bag(BAG, TABLE, offsets, mode="sum", include_last_offset=True)
        assert y.tolist() == [[3, 4], [0, 0], total]
        picked = [0, 1, 1, 2][:last]
        assert vjp(ONES)[1][:, 0].tolist() == [picked.count(row) for row in range(4)]
    # no bag takes the indices
    y, vjp = mint.embedding_bag(BAG, TABLE, np.array([0]), include_last_offset=True)
    assert y.shape == (0, 2)
    assert not vjp(y)[1].any()


def test_gradients_of_bags():
    gy = np.array([[1.0, 10.0], [0.0, 0.0], [2.0, 20.0]])
    third = 2 / 3
    for mode, expected in (
        ("sum", [[1, 10], [4, 40], [2, 20], [0, 0]]),
        ("mean", [[1, 10], [2 * third, 2 * third * 10], [third, third * 10], [0, 0]]),
        # of the tied rows 1 and 1 the first, which is the same row
        ("max", [[1, 10], [2, 20], [0, 0], [0, 0]]),
    ):
        gw = np.array(weight_gradient(mint.embedding_bag, BAG, TABLE, OFFSETS, None, gy=gy, mode=mode))
        assert np.abs(gw - expected).max() <= 16 * np.finfo(float).eps
    gw = weight_gradient(mint.embedding_bag, BAG, TABLE, OFFSETS, None, gy=gy, mode="sum", scale_grad_by_freq=True)
    assert gw == [[1, 10], [2, 20], [2, 20], [0, 0]]


def test_the_first_of_a_tie_gets_the_gradient():
    table = np.array([[1.0], [1.0], [0.0]])
    for bag, expected in (([0, 1], [1, 0, 0]), ([2, 1, 0], [0, 1, 0])):
        y, vjp = mint.embedding_bag(np.array([bag]), table, mode="max")
        assert y.tolist() == [[1]]
        assert vjp(np.ones((1, 1)))[1].ravel().tolist() == expected
    # −∞ is a maximum like any other
    y, vjp = mint.embedding_bag(np.array([[2, 0]]), np.full((3, 1), -np.inf), mode="max")
    assert y.tolist() == [[-np.inf]]
    assert vjp(np.ones((1, 1)))[1].ravel().tolist() == [0, 0, 1]


def test_a_nan_is_the_maximum_wherever_it_stands():
    table = np.array([[1.0], [np.nan], [3.0]])
    for bag in itertools.permutations(range(3)):
        y, vjp = mint.embedding_bag(np.array([bag]), table, mode="max")
        assert np.isnan(y).all()
        assert vjp(np.ones((1, 1)))[1].ravel().tolist() == [0, 1, 0]


def test_weights_of_the_samples():
    p = np.array([10.0, 1.0, 2.0, 3.0])
    y, vjp = mint.embedding_bag(BAG, TABLE, OFFSETS, p, mode="sum")
    assert y.tolist() == [[30, 40], [0, 0], [3, -24]]
    _, gw, _, gp = vjp(np.array([[1.0, 1.0], [5.0, 5.0], [1.0, 2.0]]))
    assert gw.tolist() == [[10, 10], [3, 6], [3, 6], [0, 0]]
    assert gp.tolist() == [7, 1, 1, -16]
    _, vjp = mint.embedding_bag(np.array([[0, 1]]), TABLE, None, np.array([[2.0, 3.0]]), mode="sum", padding_idx=0)
    assert vjp(np.ones((1, 2)))[3].tolist() == [[0, 1]]


def test_a_sample_is_weighed_with_the_row_as_it_is_read():
    p = np.array([[2.0]])
    y, vjp = mint.embedding_bag(np.array([[3]]), TABLE, None, p, mode="sum", max_norm=5.0)
    assert np.allclose(y, [[6, 8]], rtol=1e-7)
    assert np.allclose(vjp(np.ones((1, 2)))[3], 7, rtol=1e-7)


def test_padding_is_in_no_bag():
    for mode, expected in (
        ("sum", [[3, 4], [0, 0], [0, -8]]),
        ("mean", [[3, 4], [0, 0], [0, -8]]),
        ("max", [[3, 4], [0, 0], [0, -8]]),
    ):
        y, vjp = mint.embedding_bag(BAG, TABLE, OFFSETS, mode=mode, padding_idx=-3)
        assert y.tolist() == expected
        assert vjp(ONES)[1].tolist() == [[1, 1], [0, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_no_bag_and_nothing_in_a_bag(mode):
    none = np.zeros(0, int)
    for indices, offsets, table, shape in (
        (none, none, TABLE, (0, 2)),
        (none, np.array([0, 0]), TABLE, (2, 2)),
        (np.zeros((0, 3), int), None, TABLE[:0], (0, 2)),
        (BAG, OFFSETS, TABLE[:, :0], (3, 0)),
    ):
        y, vjp = mint.embedding_bag(indices, table, offsets, mode=mode)
        assert y.shape == shape
        assert not y.any()
        assert np.array_equal(vjp(y)[1], np.zeros_like(table))


def test_pytorch_divides_the_gradient_by_the_frequency_of_another_word():
    torch = pytest.importorskip("torch", reason="tests what PyTorch does")
    bag = np.array([[1, 0, 0]])
    weight = torch.ones((2, 1), dtype=torch.float64, requires_grad=True)
    torch.nn.functional.embedding_bag(torch.from_numpy(bag), weight, mode="sum", scale_grad_by_freq=True).backward(
        torch.ones((1, 1), dtype=torch.float64)
    )
    assert weight_gradient(
        mint.embedding_bag, bag, np.ones((2, 1)), None, None, gy=np.ones((1, 1)), mode="sum", scale_grad_by_freq=True
    ) == [[1], [1]]
    # if this fails, PyTorch has been mended: the docstring of embedding_bag is to say so
    assert weight.grad.tolist() == [[1], [0.5]]


# --- one_hot ------------------------------------------------------------------------------------------------


def test_one_hot():
    y, vjp = mint.one_hot(np.array([[1], [0]]))
    assert y.tolist() == [[[0, 1]], [[1, 0]]]
    assert y.dtype == np.int64
    assert vjp() == (None,)
    assert mint.one_hot(np.array(1), num_classes=4)[0].tolist() == [0, 1, 0, 0]
    assert mint.one_hot(np.zeros((2, 0), int), num_classes=3)[0].shape == (2, 0, 3)


# --- refusals -----------------------------------------------------------------------------------------------

REFUSALS = [
    ("embedding: weight must have shape (V, D); got (2,)", lambda: mint.embedding(BAG, np.ones(2))),
    ("embedding: indices must lie in [0, 4); got 4", lambda: mint.embedding(np.array([[0], [4]]), TABLE)),
    ("embedding: indices must lie in [0, 4); got -1", lambda: mint.embedding(np.array(-1), TABLE)),
    ("embedding: padding_idx must be an int in [-4, 3]; got 4", lambda: mint.embedding(BAG, TABLE, padding_idx=4)),
    ("embedding_bag: mode must be one of 'sum', 'mean', 'max'; got 'min'",
     lambda: mint.embedding_bag(BAG, TABLE, OFFSETS, mode="min")),
    ("embedding_bag: scale_grad_by_freq must be False with mode 'max'; got True",
     lambda: mint.embedding_bag(BAG, TABLE, OFFSETS, mode="max", scale_grad_by_freq=True)),
    ("embedding_bag: mode must be 'sum' with per_sample_weights; got 'mean'",
     lambda: mint.embedding_bag(BAG, TABLE, OFFSETS, np.ones(4))),
    ("embedding_bag: per_sample_weights must have the shape of indices, (4,); got (3,)",
     lambda: mint.embedding_bag(BAG, TABLE, OFFSETS, np.ones(3), mode="sum")),
    ("embedding_bag: indices must have shape (N) or (B, N); got ()",
     lambda: mint.embedding_bag(np.array(0), TABLE)),
    ("embedding_bag: indices must have shape (N) or (B, N) with N at least 1; got (2, 0)",
     lambda: mint.embedding_bag(np.zeros((2, 0), int), TABLE)),
    ("embedding_bag: offsets must have one axis where indices has one; got None",
     lambda: mint.embedding_bag(BAG, TABLE)),
    ("embedding_bag: offsets must have one axis where indices has one; got shape ()",
     lambda: mint.embedding_bag(BAG, TABLE, np.array(0))),
    ("embedding_bag: offsets must be None where indices has two axes; got shape (3,)",
     lambda: mint.embedding_bag(BAG.reshape(2, 2), TABLE, OFFSETS)),
    *[
        (f"embedding_bag: offsets must not decrease, from 0 to at most 4; got {np.array(offsets)}",
         lambda offsets=offsets, last=last: mint.embedding_bag(BAG, TABLE, np.array(offsets), include_last_offset=last))
        for offsets, last in (([1, 2], False), ([0, 5], True), ([0, 3, 2], False), ([0, -1], False))
    ],
    ("embedding_bag: offsets must not decrease, from 0 to at most 4; got []",
     lambda: mint.embedding_bag(BAG, TABLE, np.zeros(0, int))),
    ("one_hot: indices must lie in [0, 2); got 2", lambda: mint.one_hot(BAG, num_classes=2)),
    ("one_hot: indices must lie in [0, 3); got -1", lambda: mint.one_hot(np.array([2, -1]))),
    ("one_hot: num_classes must be at least 1 where indices is empty; got -1", lambda: mint.one_hot(BAG[:0])),
    ("one_hot: num_classes must be an int of at least -1; got -2", lambda: mint.one_hot(BAG, num_classes=-2)),
    ("Embedding: padding_idx must be an int in [-3, 2]; got 3", lambda: mint.Embedding(3, 2, padding_idx=3)),
    ("Embedding: num_embeddings must be an int of at least 0; got -1", lambda: mint.Embedding(-1, 2)),
    ("EmbeddingBag: embeddings must have shape (V, D); got (4,)", lambda: mint.EmbeddingBag.from_pretrained(BAG)),
]  # fmt: skip


@pytest.mark.parametrize(("line", "bad_call"), REFUSALS, ids=[line for line, _ in REFUSALS])
def test_refusals(line, bad_call):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole line is compared
        bad_call()
    assert str(caught.value) == line


# --- shells -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [mint.Embedding, mint.EmbeddingBag])
def test_initialisation(make):
    layer = make(200, 50, padding_idx=-2, rng=np.random.default_rng(0))
    weight = layer.weight.data
    assert (weight.shape, weight.dtype) == ((200, 50), np.float32)
    assert not weight[-2].any()
    others = np.delete(weight, -2, 0)
    # 9,950 values from N(0, 1): this seed is fixed
    assert abs(others.mean()) < 0.05
    assert abs(others.std() - 1) < 0.05
    assert np.array_equal(weight, make(200, 50, padding_idx=-2, rng=np.random.default_rng(0)).weight.data)


@pytest.mark.parametrize("make", [mint.Embedding, mint.EmbeddingBag])
def test_a_pretrained_weight_is_frozen_unless_it_is_not(make):
    layer = make.from_pretrained(TABLE, max_norm=1.0)
    assert list(layer.named_parameters()) == []
    y, vjp = layer(np.array([[3, 3]]))
    assert np.allclose(y, [0.6, 0.8])
    assert vjp(y) is None
    layer = make.from_pretrained(TABLE, False, padding_idx=0)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    _, vjp = layer(np.array([[3, 0]]))
    vjp(np.ones_like(layer(np.array([[3, 0]]))[0]))
    assert not layer.weight.grad[0].any()
    assert layer.weight.grad[3].all()


def test_a_bag_takes_offsets_and_weights_of_samples():
    layer = mint.EmbeddingBag.from_pretrained(TABLE, mode="sum")
    y, vjp = layer(BAG, OFFSETS, np.ones(4))
    assert y.tolist() == [[3, 4], [0, 0], [2, -8]]
    assert [None if g is None else g.tolist() for g in vjp(ONES)] == [None, None, [7, 1, 1, -8]]
    y, vjp = layer(BAG.reshape(2, 2), None, np.ones((2, 2)))
    assert vjp(y)[2].shape == (2, 2)
