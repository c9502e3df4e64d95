"""Recurrent networks: sequences of different lengths, layers and directions, dropout, saturation, refusals."""

import inspect

import numpy as np
import pytest

import mint

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
STATES = {"rnn": 1, "lstm": 2, "gru": 1}


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def integers(seed, *shape):
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(float)


def weights(op, n_in, hidden, layers=1, directions=1, bias=True, make=normal):
    """PyTorch's list for these sizes."""
    rows = GATES[op] * hidden
    shapes = []
    for place in range(layers * directions):
        shapes += [(rows, n_in if place < directions else directions * hidden), (rows, hidden)]
        shapes += [(rows,)] * (2 * bias)
    return [make(seed, *shape) for seed, shape in enumerate(shapes)]


def call(op, x, *arrays, lengths=None, mask=None, states=None, **hyper):
    """The operation; the initial states are zeros unless they are given."""
    return getattr(mint, op)(x, *(states or [None] * STATES[op]), lengths, mask, *arrays, **hyper)


def relu(x, *arrays, h_0=None, **more):
    """An Elman network on small integers, of which every order of summation gives the same bits."""
    return call("rnn", x, *arrays, states=[h_0], nonlinearity="relu", **more)


def same(first, second):
    for a, b in zip(first, second, strict=True):
        assert (a is None and b is None) or np.array_equal(a, b)


# --- what layers over time are made of ----------------------------------------------------------------------


def test_a_sequence_is_computed_as_by_itself():
    x, h_0, w = integers(0, 4, 3, 2), integers(1, 2, 3, 3), weights("rnn", 2, 3, directions=2, make=integers)
    (y, h_n), vjp = relu(x, *w, h_0=h_0, lengths=np.array([2, 4, 1]), bidirectional=True)
    gy, gh_n = integers(2, *y.shape), integers(3, *h_n.shape)
    gx, gh_0, _, _, *gw = vjp(gy, gh_n)
    sums = [np.zeros_like(w_) for w_ in w]
    for n, length in enumerate((2, 4, 1)):
        (y_n, end), back = relu(x[:length, n], *w, h_0=h_0[:, n], bidirectional=True)
        same((y[:length, n], h_n[:, n]), (y_n, end))
        gx_n, start, _, _, *gw_n = back(gy[:length, n], gh_n[:, n])
        same((gx[:length, n], gh_0[:, n]), (gx_n, start))
        assert not y[length:, n].any()
        assert not gx[length:, n].any()
        sums = [total + g for total, g in zip(sums, gw_n, strict=True)]
    same(gw, sums)


@pytest.mark.parametrize("op", GATES)
def test_what_comes_after_the_end_is_not_read(op):
    x, w, lengths = normal(0, 3, 2, 2), weights(op, 2, 3, layers=2, directions=2), np.array([1, 3])
    clean, clean_vjp = call(op, x, *w, lengths=lengths, num_layers=2, bidirectional=True)
    x[1:, 0] = np.nan, np.inf
    results, vjp = call(op, x, *w, lengths=lengths, num_layers=2, bidirectional=True)
    same(results, clean)
    cotangents = [normal(1, *y.shape) for y in results]
    gradients = vjp(*cotangents)
    same(gradients, clean_vjp(*cotangents))
    # what comes back to an output that is always 0 goes nowhere
    cotangents[0][1:, 0] = np.inf
    same(vjp(*cotangents), gradients)


@pytest.mark.parametrize("op", GATES)
def test_a_state_that_is_not_finite_stays_with_its_sequence(op):
    x, w = normal(0, 3, 2, 2), weights(op, 2, 3)
    x[0, 0] = np.nan
    results, vjp = call(op, x, *w, lengths=np.array([1, 3]))
    gx = vjp(*(np.ones_like(y) for y in results))[0]
    assert np.isnan(results[0][0, 0]).all()
    assert not results[0][1:, 0].any()
    assert not gx[1:, 0].any()
    assert np.isfinite(results[0][:, 1]).all()
    assert np.isfinite(gx[:, 1]).all()


def test_the_second_direction_begins_at_the_end():
    x, w = integers(0, 4, 2, 2), weights("rnn", 2, 3, directions=2, make=integers)
    (y, h_n), _ = relu(x, *w, bidirectional=True)
    (forward, last), _ = relu(x, *w[:4])
    (backward, first), _ = relu(x[::-1], *w[4:])
    same((y[..., :3], y[..., 3:], h_n), (forward, backward[::-1], np.concatenate([last, first])))


def test_a_layer_works_on_what_the_one_below_has_computed():
    x, w, h_0 = integers(0, 4, 2, 2), weights("rnn", 2, 2, 3, 2, make=integers), integers(9, 6, 2, 2)
    (y, h_n), vjp = relu(x, *w, h_0=h_0, num_layers=3, bidirectional=True)
    ends, vjps, z = [], [], x
    for layer in range(3):
        states, own = h_0[2 * layer : 2 * layer + 2], w[8 * layer : 8 * layer + 8]
        (z, end), back = relu(z, *own, h_0=states, bidirectional=True)
        ends.append(end)
        vjps.append(back)
    same((y, h_n), (z, np.concatenate(ends)))
    g, gh_n = integers(10, *y.shape), integers(11, *h_n.shape)
    gx, gh_0, _, _, *gw = vjp(g, gh_n)
    for layer in (2, 1, 0):
        g, start, _, _, *own = vjps[layer](g, gh_n[2 * layer : 2 * layer + 2])
        same((gh_0[2 * layer : 2 * layer + 2], *gw[8 * layer : 8 * layer + 8]), (start, *own))
    same((gx,), (g,))


@pytest.mark.parametrize("op", GATES)
def test_one_step_is_that_of_the_cell(op):
    x, w = normal(0, 1, 2, 3), weights(op, 3, 4)
    states = [normal(k + 1, 1, 2, 4) for k in range(STATES[op])]
    (_, *ends), vjp = call(op, x, *w, states=states)
    after, cell_vjp = getattr(mint, f"{op}_cell")(x[0], *(s[0] for s in states), *w)
    after = after if isinstance(after, tuple) else (after,)
    same((end[0] for end in ends), after)
    cotangents = [normal(k + 5, 2, 4) for k in range(STATES[op])]
    gx, *others = vjp(np.zeros((1, 2, 4)), *(g[None] for g in cotangents))
    n = STATES[op]
    same((gx[0], *(g[0] for g in others[:n]), *others[n + 2 :]), cell_vjp(*cotangents))


@pytest.mark.parametrize("op", GATES)
def test_batch_first_exchanges_two_axes(op):
    x, w, mask = normal(0, 3, 2, 2), weights(op, 2, 3, layers=2), normal(1, 1, 3, 2, 3) > 0
    results, vjp = call(op, x, *w, mask=mask, num_layers=2, dropout=0.5)
    turned, turned_vjp = call(
        op, x.swapaxes(0, 1), *w, mask=mask.swapaxes(1, 2), num_layers=2, dropout=0.5, batch_first=True
    )
    same((turned[0].swapaxes(0, 1), *turned[1:]), results)
    gy, *gends = (normal(k, *y.shape) for k, y in enumerate(results))
    gx, *gradients = turned_vjp(gy.swapaxes(0, 1), *gends)
    same((gx.swapaxes(0, 1), *gradients), vjp(gy, *gends))


# --- dropout ------------------------------------------------------------------------------------------------


def test_dropout_is_between_layers():
    x, w = integers(0, 3, 2, 2), weights("rnn", 2, 3, 2, make=integers)
    mask = normal(5, 1, 3, 2, 3) > 0
    (y, _), vjp = relu(x, *w, mask=mask, num_layers=2, dropout=0.75)
    (first, _), first_vjp = relu(x, *w[:4])
    (second, _), second_vjp = relu(first * mask[0] * 4, *w[4:])
    same((y,), (second,))
    gy, none = integers(6, *y.shape), np.zeros((1, 2, 3))
    gx, *_ = vjp(gy, np.zeros((2, 2, 3)))
    same((gx,), first_vjp(second_vjp(gy, none)[0] * mask[0] * 4, none)[:1])


def test_dropout_draws_in_training_only():
    x, w = normal(0, 3, 2, 2), weights("gru", 2, 3, 2)
    hyper = {"num_layers": 2, "dropout": 0.5}
    (drawn, _), _ = call("gru", x, *w, rng=np.random.default_rng(3), **hyper)
    mask = np.random.default_rng(3).random((1, 3, 2, 3)) >= 0.5
    same((drawn,), call("gru", x, *w, mask=mask, **hyper)[0][:1])
    generator = np.random.default_rng(3)
    (still, _), _ = call("gru", x, *w, rng=generator, training=False, **hyper)
    same((still,), call("gru", x, *w, num_layers=2)[0][:1])
    # nor where there is nothing to drop
    call("gru", x, *w, rng=generator, num_layers=2)
    call("gru", x, *w[:4], rng=generator, dropout=0.5)
    assert generator.random() == np.random.default_rng(3).random()


# --- numbers ------------------------------------------------------------------------------------------------


def test_saturated_gates_keep_their_digits():
    # forget gate and output gate nearly shut, the others open: c' = σ(−40)·c, h' = σ(−40)·tanh(c')
    z = np.array([-40.0, -40.0, 0.0, -40.0])
    shut = np.exp(-40.0)
    (h, c), vjp = mint.lstm_cell(np.zeros(1), np.zeros(1), np.ones(1), np.zeros((4, 1)), np.zeros((4, 1)), z)
    np.testing.assert_allclose(c, shut, rtol=1e-15)
    np.testing.assert_allclose(h, shut * shut, rtol=1e-15)
    slopes = vjp(np.ones(1), np.zeros(1))[5]
    np.testing.assert_allclose(slopes, [0, shut**2, shut**2, shut**2], rtol=1e-15)
    # 1 − σ(40) and 1 − tanh²(20) would be 0
    h, vjp = mint.gru_cell(np.zeros(1), np.zeros(1), np.zeros((3, 1)), np.zeros((3, 1)), np.array([0.0, 40.0, 20.0]))
    np.testing.assert_allclose(h, shut, rtol=1e-15)
    np.testing.assert_allclose(vjp(np.ones(1))[4], [0, -shut, 4 * shut**2], rtol=1e-15)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.float16, 1e4), (np.float32, 1e38), (np.float64, 1e300), (np.longdouble, 1e300)]
)
def test_nothing_overflows_on_the_way(op, dtype, scale):
    x = (normal(0, 3, 2, 2) * scale).astype(dtype)
    results, vjp = call(op, x, *(w.astype(dtype) for w in weights(op, 2, 3)))
    assert all(np.isfinite(y).all() for y in results)
    # every gate is saturated: what is left of its slope is 0
    assert all(np.isfinite(g).all() for g in vjp(*map(np.ones_like, results)) if g is not None)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_relu_has_the_slope_of_pytorch(value):
    torch = pytest.importorskip("torch", reason="compares with torch")
    x, h, eye = np.array([[value, 1.0]]), np.zeros((1, 2)), np.eye(2)
    y, vjp = mint.rnn_cell(x, h, eye, eye, nonlinearity="relu")
    tensors = [torch.from_numpy(a).requires_grad_() for a in (x, h, eye, eye.copy())]
    expected = torch.rnn_relu_cell(*tensors)
    expected.backward(torch.ones(1, 2, dtype=torch.float64))
    np.testing.assert_array_equal(y, expected.detach().numpy())
    for g, tensor in zip(vjp(np.ones((1, 2)))[:4], tensors, strict=True):
        np.testing.assert_array_equal(g, tensor.grad.numpy())


@pytest.mark.parametrize("op", GATES)
def test_axes_may_be_empty(op):
    for n_in, hidden, batch in ((0, 2, 3), (2, 0, 3), (2, 2, 0)):
        results, vjp = call(op, np.ones((4, batch, n_in)), *weights(op, n_in, hidden))
        assert [y.shape for y in results] == [(4, batch, hidden), *[(1, batch, hidden)] * STATES[op]]
        gradients = vjp(*map(np.ones_like, results))
        assert gradients[0].shape == (4, batch, n_in)


# --- refusals -----------------------------------------------------------------------------------------------

X = np.ones((3, 2, 2))
W = {op: weights(op, 2, 3) for op in GATES}
PROJECTED = [np.ones((12, 2)), np.ones((12, 2)), np.ones((2, 3))]


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        (lambda: call("rnn", X), r"weights must be 2 or 4 arrays for num_layers 1 and bidirectional False; got 0"),
        (lambda: call("lstm", X, *W["lstm"], num_layers=3), "weights must be 6 or 9 or 12 or 15 arrays .*; got 4"),
        (lambda: call("gru", X, *W["gru"][:3]), "weights must be .*; got 3"),
        (lambda: call("gru", X, *W["gru"][:2], num_layers=0), "num_layers must be an int of at least 1; got 0"),
        (lambda: call("gru", X[..., :1], *W["gru"]), r"weight_ih_l0 must have shape \(9, 1\); got \(9, 2\)"),
        (
            lambda: call("rnn", X, *W["rnn"], W["rnn"][0].T, *W["rnn"][1:], num_layers=2),
            r"weight_ih_l1 must have shape \(3, 3\); got \(2, 3\)",
        ),
        (
            lambda: call("rnn", X, *W["rnn"], *W["rnn"][:3], np.ones(4), bidirectional=True),
            r"bias_hh_l0_reverse must have shape \(3,\); got \(4,\)",
        ),
        (lambda: call("rnn", X, np.ones(()), np.ones(())), "weight_ih_l0 must have shape"),
        (
            lambda: call("lstm", X, *PROJECTED[:2], np.ones((2, 2))),
            r"weight_hr_l0 must have shape \(proj, hidden\), 0 < proj < hidden; got \(2, 2\)",
        ),
        (lambda: call("lstm", X, *PROJECTED[:2], np.ones((1, 3))), r"weight_hr_l0 must have shape \(2, 3\); got"),
        (lambda: call("rnn", X[:0], *W["rnn"]), r"x must have shape .*, T > 0; got \(0, 2, 2\)"),
        (lambda: call("rnn", X[:, :0], *W["rnn"], batch_first=True), r"x must .*; got \(3, 0, 2\)"),
        (lambda: call("rnn", np.ones(2), *W["rnn"]), r"x must have shape .*; got \(2,\)"),
        (lambda: call("rnn", X, *W["rnn"], states=[np.ones((1, 3))]), r"h_0 must have shape \(1, 2, 3\); got \(1, 3\)"),
        (
            lambda: call("rnn", X[:, 0], *W["rnn"], states=[np.ones((1, 1, 3))]),
            r"h_0 must have shape \(1, 3\); got \(1, 1, 3\)",
        ),
        (
            lambda: call("lstm", X, *PROJECTED, states=[np.ones((1, 2, 2)), np.ones((1, 2, 2))]),
            r"c_0 must have shape \(1, 2, 3\); got \(1, 2, 2\)",
        ),
        (
            lambda: call("lstm", X, *W["lstm"], states=[np.ones((1, 2, 3)), None]),
            "h_0 and c_0 must be given both or neither; got one",
        ),
        (lambda: call("rnn", X, *W["rnn"], lengths=np.array([3, 0])), r"lengths must lie in \[1, 3\]; got 0"),
        (lambda: call("rnn", X, *W["rnn"], lengths=np.array([4, 1])), r"lengths must lie in \[1, 3\]; got 4"),
        (lambda: call("rnn", X, *W["rnn"], lengths=np.array([3])), r"lengths must have shape \(2,\) to fit x; got"),
        (lambda: call("rnn", X[:, 0], *W["rnn"], lengths=np.array(3)), "lengths must be None for an x without a batch"),
        (lambda: call("rnn", X, *W["rnn"], dropout=1.5), r"dropout must be a number in \[0, 1\]; got 1.5"),
        (
            lambda: call("rnn", X, *W["rnn"], mask=np.ones((1, 3, 2, 3), bool)),
            r"mask must have shape \(0, 3, 2, 3\) .*; got \(1, 3, 2, 3\)",
        ),
        (
            lambda: call("rnn", X, *W["rnn"], mask=np.ones((0, 3, 2, 3), bool), training=False),
            "mask must be None where training is False",
        ),
        (lambda: call("rnn", X, *W["rnn"], nonlinearity="sigmoid"), "nonlinearity must be one of 'tanh', 'relu'; got"),
        (lambda: mint.rnn_cell(X, X[0], *W["rnn"]), r"x must have shape \(N, input\) or \(input,\); got"),
        (lambda: mint.rnn_cell(X[0], X[0], W["rnn"][0], np.ones(3)), r"weight_hh must have shape .*; got \(3,\)"),
        (lambda: mint.gru_cell(X[0], np.ones((1, 3)), *W["gru"]), r"h must have shape \(2, 3\); got \(1, 3\)"),
        (lambda: mint.lstm_cell(X[0], np.ones((2, 3)), np.ones(3), *W["lstm"]), r"c must have shape \(2, 3\); got"),
        (lambda: mint.gru_cell(X[0], np.ones((2, 3)), *W["rnn"]), r"weight_ih must have shape \(9, 2\); got \(3, 2\)"),
        (lambda: mint.RNN(0, 3), "RNN: input_size must be an int of at least 1; got 0"),
        (lambda: mint.GRU(2, 0), "GRU: hidden_size must be an int of at least 1; got 0"),
        (lambda: mint.LSTM(2, 3, proj_size=3), "LSTM: proj_size must be smaller than hidden_size, 3; got 3"),
        (lambda: mint.RNN(2, 3, nonlinearity="sigmoid"), "RNN: nonlinearity must be one of 'tanh', 'relu'"),
        (lambda: mint.RNNCell(2, 3, nonlinearity="sigmoid"), "RNNCell: nonlinearity must be one of 'tanh', 'relu'"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(invalid, message):
    with pytest.raises(ValueError, match=message) as refusal:
        invalid()
    assert "\n" not in str(refusal.value)


def test_weights_are_checked_like_any_array():
    with pytest.raises(TypeError, match=r"^rnn: weights\[1\] must be a NumPy array; got NoneType$"):
        call("rnn", X, W["rnn"][0], None)
    with pytest.raises(
        TypeError, match=r"^rnn: the arrays must have one common dtype; got x float64, weights\[0\] .*$"
    ):
        call("rnn", X, *(w.astype(np.float32) for w in W["rnn"]))
    with pytest.raises(TypeError, match=r"^rnn: .*unexpected keyword argument 'weights'$"):
        mint.rnn(X, weights=W["rnn"])


# --- shells -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_shells_take_lengths_and_states(name):
    torch = pytest.importorskip("torch", reason="compares with torch.nn")
    rnn = torch.nn.utils.rnn
    theirs = getattr(torch.nn, name)(2, 3, 2, bidirectional=True, dtype=torch.float64)
    ours = getattr(mint, name)(2, 3, 2, bidirectional=True, dtype=np.float64)
    for parameter_name, parameter in theirs.named_parameters():
        getattr(ours, parameter_name).data = parameter.detach().numpy()
    x, lengths = normal(0, 4, 3, 2), np.array([2, 4, 1])
    states = [normal(k, 4, 3, 3) for k in range(STATES[name.lower()])]
    (y, *ends), vjp = ours(x, *states, lengths=lengths)
    packed = rnn.pack_padded_sequence(torch.from_numpy(x), torch.from_numpy(lengths), enforce_sorted=False)
    given = tuple(map(torch.from_numpy, states))
    result, end = theirs(packed, given if len(given) > 1 else given[0])
    pairs = zip((y, *ends), (rnn.pad_packed_sequence(result)[0], *(end if len(given) > 1 else (end,))), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-12, atol=1e-14)
    gradients = vjp(np.ones_like(y), *map(np.zeros_like, ends))
    assert [g if g is None else g.shape for g in gradients] == [x.shape, *(s.shape for s in states)]


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_a_cell_begins_with_zeros(name):
    cell = getattr(mint, name)(2, 3, rng=np.random.default_rng(0))
    states = STATES[name.removesuffix("Cell").lower()]
    x = normal(0, 4, 2).astype(np.float32)
    zeros = [np.zeros((4, 3), np.float32)] * states
    y, vjp = cell(x)
    again, again_vjp = cell(x, *zeros)
    y, again = (r if isinstance(r, tuple) else (r,) for r in (y, again))
    same(y, again)
    gradients = again_vjp(*y)
    same((vjp(*y),), gradients[:1])
    assert len(gradients) == 1 + states
    with pytest.raises(TypeError, match=rf"^{name}: expected x, or x, .*; got {2 + states} arrays$"):
        cell(x, *zeros, x)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_shells_begin_as_those_of_pytorch(name):
    layer = getattr(mint, name)(40, 25, rng=np.random.default_rng(0))
    for parameter in layer.parameters():
        assert 0.15 < np.abs(parameter.data).max() <= 0.2
        assert abs(parameter.data.mean()) < 0.06
        assert parameter.data.dtype == np.float32
    with pytest.raises(TypeError, match=rf"^{name}: rng must be a numpy.random.Generator or None; got 7$"):
        getattr(mint, name)(2, 3, rng=7)
    with pytest.raises(TypeError, match=rf"^{name}: dtype must be a floating-point dtype; got int64$"):
        getattr(mint, name)(2, 3, dtype=int)


def test_a_shell_drops_in_training_only():
    layer = mint.GRU(2, 3, 2, dropout=0.5, rng=np.random.default_rng(0))
    x = normal(0, 4, 3, 2).astype(np.float32)
    (first, _), _ = layer(x)
    (second, _), _ = layer(x)
    assert not np.array_equal(first, second)
    same(layer.eval()(x)[0], layer(x)[0])
    with pytest.warns(UserWarning, match=r"^GRU: dropout drops between layers, and num_layers is 1; got 0.5$"):
        mint.GRU(2, 3, dropout=0.5)
    with pytest.raises(TypeError, match=r"^GRU: expected x, or x, h_0; got 3 arrays$"):
        layer(x, x, x)


def test_shells_have_the_arguments_of_pytorch():
    arguments = {
        "RNN": "input_size hidden_size num_layers nonlinearity bias batch_first dropout bidirectional",
        "LSTM": "input_size hidden_size num_layers bias batch_first dropout bidirectional proj_size",
        "GRU": "input_size hidden_size num_layers bias batch_first dropout bidirectional",
        "RNNCell": "input_size hidden_size bias nonlinearity",
        "LSTMCell": "input_size hidden_size bias",
        "GRUCell": "input_size hidden_size bias",
    }
    for name, expected in arguments.items():
        parameters = inspect.signature(getattr(mint, name)).parameters
        assert [*parameters] == [*expected.split(), "rng", "dtype"]
