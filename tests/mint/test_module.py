"""Shells: parameters, initialisation, modes, chains, and gradients that add up."""

import inspect

import numpy as np
import pytest

import mint
from tests.mint.shell_examples import EXAMPLES

#: What holds other modules or parameters; every other class in mint is a layer.
CONTAINERS = {
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "Sequential",
    "UnknownHyperparameter",
}
SHELLS = sorted({name for name in mint.__all__ if name[0].isupper()} - CONTAINERS)


def integers(seed, *shape):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(float)


def made(module, name, **float64):
    """The example's shell, from mint or torch.nn, in double precision if it has parameters."""
    given, make = EXAMPLES[name], getattr(module, name)
    more = {k: v for k, v in float64.items() if k in inspect.signature(make).parameters}
    # a function makes a module of that library's
    arguments = [a(module, **float64) if inspect.isfunction(a) else a for a in given.arguments]
    layer = make(*arguments, **given.keywords, **more)
    return layer.eval() if given.evaluated else layer


def flat(result):
    """The tensors of a result; those of LSTM stand in a tuple in a tuple."""
    return [tensor for part in result for tensor in flat(part)] if isinstance(result, tuple) else [result]


def floating(values):
    values = values if isinstance(values, tuple | list) else (values,)
    return [v for v in values if v is not None and np.asarray(v).dtype.kind == "f"]


def test_every_shell_has_an_example():
    assert sorted(EXAMPLES) == SHELLS


@pytest.mark.filterwarnings("ignore:`NLLLoss2d` has been deprecated")
@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_is_called_like_that_of_pytorch_and_computes_the_same(name):
    torch = pytest.importorskip("torch", reason="compares with torch.nn")
    ours, theirs = made(mint, name, dtype=np.float64), made(torch.nn, name, dtype=torch.float64)
    parameters, others = dict(ours.named_parameters()), dict(theirs.named_parameters())
    assert {n: p.data.shape for n, p in parameters.items()} == {n: tuple(p.shape) for n, p in others.items()}
    for parameter_name, parameter in others.items():
        # biases that begin as 0 would hide how they are used
        parameters[parameter_name].data = np.random.default_rng(1).standard_normal(parameter.shape)
        parameter.data = torch.from_numpy(parameters[parameter_name].data)

    inputs = EXAMPLES[name].arrays()
    tensors = [torch.from_numpy(x).requires_grad_(x.dtype.kind == "f") for x in inputs]
    results, vjp = ours(*inputs)
    expected = theirs(*tensors)
    expected = [y for y in flat(expected) if y is not None and y.is_floating_point()]
    assert len(floating(results)) == len(expected)
    cotangents = [np.random.default_rng(2).standard_normal(y.shape) for y in expected]
    pairs = list(zip(floating(results), expected, strict=True))

    torch.autograd.backward(expected, list(map(torch.from_numpy, cotangents)))
    gradients = [t.grad for t in tensors if t.grad is not None]
    pairs += zip(floating(vjp(*cotangents)), gradients, strict=True)
    pairs += [(parameter.grad, others[n].grad) for n, parameter in parameters.items()]
    for got, due in pairs:
        assert got.shape == due.shape
        if EXAMPLES[name].differs:
            continue
        # how accurate an operation is, the harness measures; here it is the right one with the right arguments
        np.testing.assert_allclose(got, due.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SHELLS)
def test_gradients_are_one_for_each_input_and_parameter(name):
    shell = made(mint, name, dtype=np.float64)
    inputs = EXAMPLES[name].arrays()
    results, vjp = shell(*inputs)
    gradients = vjp(*(np.ones_like(y) for y in floating(results)))
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    shapes = [x.shape if x.dtype.kind == "f" else None for x in inputs]
    assert [None if g is None else g.shape for g in gradients] == shapes
    assert all(p.grad is not None and p.grad.shape == p.data.shape for p in shell.parameters())


@pytest.mark.parametrize(
    ("make", "weight", "fan_in"),
    [
        (lambda **k: mint.Linear(50, 40, **k), (40, 50), 50),
        (lambda **k: mint.Conv2d(6, 8, (3, 5), groups=2, **k), (8, 3, 3, 5), 45),
        (lambda **k: mint.ConvTranspose1d(6, 8, 4, groups=2, **k), (6, 4, 4), 16),
    ],
)
def test_initialisation(make, weight, fan_in):
    layer = make(rng=np.random.default_rng(3))
    again = make(rng=np.random.default_rng(3))
    bound = fan_in**-0.5
    for parameter, other in zip(layer.parameters(), again.parameters(), strict=True):
        assert parameter.data.dtype == np.float32
        assert np.array_equal(parameter.data, other.data)
        assert abs(parameter.data).max() <= bound
    assert layer.weight.data.shape == weight
    # of many values from U(−bound, bound) some come near both ends: this seed is fixed
    assert layer.weight.data.max() > 0.9 * bound
    assert layer.weight.data.min() < -0.9 * bound
    assert not np.array_equal(make().weight.data, layer.weight.data)
    assert make(dtype=np.longdouble).bias.data.dtype == np.longdouble
    assert make(bias=False).bias is None


def test_the_bounds_are_those_of_pytorch():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    for name, arguments in (("Linear", (64, 64)), ("Conv2d", (16, 16, 3)), ("ConvTranspose2d", (8, 32, 3))):
        ours = getattr(mint, name)(*arguments, rng=np.random.default_rng(0))
        torch.manual_seed(0)
        theirs = getattr(torch.nn, name)(*arguments)
        fan_in = np.prod(theirs.weight.shape[1:])
        assert ours.weight.data.shape == tuple(theirs.weight.shape)
        for data in (ours.weight.data, theirs.weight.detach().numpy()):
            assert 0.99 * fan_in**-0.5 < abs(data).max() <= fan_in**-0.5


def test_sequential_is_the_chain_rule():
    first, second = mint.Linear(3, 5, dtype=float), mint.Linear(5, 2, bias=False, dtype=float)
    model = mint.Sequential(first, mint.ReLU(), second)
    x, gy = integers(0, 4, 3), integers(1, 4, 2)
    y, vjp = model(x)
    gx = vjp(gy)

    z, z_vjp = mint.linear(x, first.weight.data, first.bias.data)
    a, a_vjp = mint.relu(z)
    expected, y_vjp = mint.linear(a, second.weight.data)
    ga, gw2, _ = y_vjp(gy)
    expected_gx, gw1, gb1 = z_vjp(*a_vjp(ga))
    assert np.array_equal(y, expected)
    assert np.array_equal(gx, expected_gx)
    assert [np.array_equal(p.grad, g) for p, g in zip(model.parameters(), (gw1, gb1, gw2), strict=True)] == [True] * 3


def test_gradients_add_up_over_calls_and_shared_parameters():
    layer = mint.Linear(3, 3, dtype=float)
    other = mint.Linear(3, 3, dtype=float)
    other.weight = layer.weight
    model = mint.Sequential(layer, mint.Sequential(other))
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.0.bias"]

    layer.weight.data = integers(0, 3, 3)
    x, gy = integers(1, 2, 3), integers(2, 2, 3)
    _, vjp = model(x)
    vjp(gy)
    hidden = x @ layer.weight.data.T + layer.bias.data
    _, inner = mint.linear(hidden, other.weight.data, other.bias.data)
    ghidden, g_second, _ = inner(gy)
    _, outer = mint.linear(x, layer.weight.data, layer.bias.data)
    once = g_second + outer(ghidden)[1]
    assert np.array_equal(layer.weight.grad, once)

    # residuals belong to their call: an earlier vjp still means the earlier input
    model(integers(3, 2, 3))
    vjp(gy)
    assert np.array_equal(layer.weight.grad, g_second + outer(ghidden)[1] + g_second + outer(ghidden)[1])

    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_train_and_eval_reach_every_module():
    inner = mint.ReLU()
    model = mint.Sequential(mint.Sequential(inner))
    assert model.training
    assert model.eval() is model
    assert not inner.training
    assert model.train() is model
    assert inner.training


def test_a_module_of_ones_own():
    class Residual(mint.Module):
        def __init__(self):
            self.layer = mint.Linear(2, 2, dtype=float)

        def forward(self, x):
            y, vjp = self.layer(x)
            return x + y, lambda gy: gy + vjp(gy)

    model = Residual()
    assert [name for name, _ in model.named_parameters()] == ["layer.weight", "layer.bias"]
    x = integers(0, 3, 2)
    y, vjp = model(x)
    assert np.array_equal(y, x + mint.linear(x, model.layer.weight.data, model.layer.bias.data)[0])
    assert np.array_equal(vjp(np.ones((3, 2))), 1 + np.ones((3, 2)) @ model.layer.weight.data)
    with pytest.raises(NotImplementedError, match=r"^Module does not define forward$"):
        mint.Module()(x)


def test_repr_tells_the_hyper_parameters():
    assert repr(mint.Sequential(mint.LeakyReLU(0.5), mint.ReLU())) == (
        "Sequential(LeakyReLU(negative_slope=0.5), ReLU())"
    )
    assert repr(mint.Linear(3, 2).weight) == "Parameter(shape=(2, 3), dtype=float32)"


def test_cross_entropy_loss_owns_a_weight_that_is_not_learned():
    weight = np.array([1.0, 2.0])
    loss = mint.CrossEntropyLoss(weight, reduction="sum")
    x, target = integers(0, 3, 2), np.array([0, 1, 1])
    y, vjp = loss(x, target)
    expected, expected_vjp = mint.cross_entropy(x, target, weight, reduction="sum")
    assert y == expected
    gx, gtarget = vjp(y)
    assert np.array_equal(gx, expected_vjp(y)[0])
    assert gtarget is None
    assert list(loss.parameters()) == []
