"""Transformers: outputs and every gradient are those of torch.nn; names, copies, initialisation, dropout."""

import copy
import warnings

import numpy as np
import pytest

import mint

torch = pytest.importorskip("torch", reason="compares with torch.nn")

D, HEADS, SOURCE, TARGET, BATCH = 6, 2, 4, 3, 2
CAUSAL = mint.Transformer.generate_square_subsequent_mask
PADDING = np.array([[False, False, True, True], [False, False, False, True]])


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def alike(ours, theirs):
    """Two modules of the same parameters by name and shape, now with the same numbers; and so in double precision."""
    parameters, others = dict(ours.named_parameters()), dict(theirs.named_parameters())
    assert {n: p.data.shape for n, p in parameters.items()} == {n: tuple(p.shape) for n, p in others.items()}
    assert list(parameters) == list(others)
    for seed, (name, parameter) in enumerate(parameters.items()):
        # biases that begin as 0 would hide how they are used
        parameter.data = normal(seed, *parameter.data.shape)
        others[name].data = torch.from_numpy(parameter.data.copy())


def compare(ours, theirs, inputs, masks):
    """Outputs, gradients of the inputs, gradients of the parameters: this is wiring, not rounding."""
    alike(ours, theirs)
    tensors = [torch.from_numpy(x).requires_grad_() for x in inputs]
    y, vjp = ours(*inputs, **masks)
    due = theirs(*tensors, **{name: torch.from_numpy(mask) for name, mask in masks.items()})
    gy = normal(99, *y.shape)
    due.backward(torch.from_numpy(gy))
    gradients = vjp(gy)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    pairs = [(y, due.detach()), *zip(gradients, (t.grad for t in tensors), strict=True)]
    others = dict(theirs.named_parameters())
    pairs += [(parameter.grad, others[name].grad) for name, parameter in ours.named_parameters()]
    for got, expected in pairs:
        np.testing.assert_allclose(got, expected.numpy(), rtol=1e-9, atol=1e-11)


def both(name, *arguments, **keywords):
    """The class of mint and that of torch.nn, made alike; PyTorch says why it has no fast path for some."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (
            getattr(mint, name)(*arguments, **keywords, dtype=np.float64),
            getattr(torch.nn, name)(*arguments, **keywords, dtype=torch.float64),
        )


def sequence(seed, length, batch_first):
    return normal(seed, *((BATCH, length) if batch_first else (length, BATCH)), D)


#: How a layer may be made; nothing is dropped, or what is would not be the same.
SETTINGS = [
    {},
    {"norm_first": True},
    {"batch_first": True, "activation": "gelu"},
    {"norm_first": True, "batch_first": True, "bias": False},
    {"layer_norm_eps": 0.1, "activation": "gelu", "bias": False},
]
#: Masks by what they mask: pairs of source and source, of target and target, of target and source; the keys of each.
ADDED = normal(7, TARGET, SOURCE)
ENCODER_MASKS = [
    {},
    {"src_mask": CAUSAL(SOURCE, dtype=float)},
    {"src_mask": np.triu(np.ones((SOURCE, SOURCE), bool), 1), "src_key_padding_mask": PADDING},
    {"src_mask": normal(8, BATCH * HEADS, SOURCE, SOURCE), "src_key_padding_mask": normal(9, BATCH, SOURCE)},
]
DECODER_MASKS = [
    {},
    {"tgt_mask": CAUSAL(TARGET, dtype=float), "memory_mask": ADDED},
    {"tgt_key_padding_mask": PADDING[:, 1:], "memory_key_padding_mask": PADDING},
    {"tgt_mask": np.triu(np.ones((TARGET, TARGET), bool), 1), "memory_key_padding_mask": PADDING},
]
MODES = pytest.mark.parametrize("training", [True, False])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("masks", ENCODER_MASKS, ids=list)
@MODES
def test_encoder_layer(settings, masks, training):
    ours, theirs = both("TransformerEncoderLayer", D, HEADS, 8, 0.0 if training else 0.5, **settings)
    src = sequence(0, SOURCE, settings.get("batch_first"))
    compare(ours.train(training), theirs.train(training), [src], masks)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("masks", DECODER_MASKS, ids=list)
@MODES
def test_decoder_layer(settings, masks, training):
    ours, theirs = both("TransformerDecoderLayer", D, HEADS, 8, 0.0 if training else 0.5, **settings)
    inputs = [sequence(n, length, settings.get("batch_first")) for n, length in enumerate((TARGET, SOURCE))]
    compare(ours.train(training), theirs.train(training), inputs, masks)


def stacks(kind, with_norm, **settings):
    """A stack of two layers, and perhaps a norm, of mint and of torch.nn."""
    layers = both(f"{kind}Layer", D, HEADS, 8, 0.0, **settings)
    norms = both("LayerNorm", D) if with_norm else (None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(
            getattr(library, kind)(layer, 2, norm)
            for library, layer, norm in zip((mint, torch.nn), layers, norms, strict=True)
        )


@pytest.mark.parametrize("with_norm", [True, False])
@pytest.mark.parametrize("settings", SETTINGS[:3], ids=str)
@pytest.mark.parametrize("masks", ENCODER_MASKS, ids=list)
def test_encoder(with_norm, settings, masks):
    masks = {name.removesuffix("src_mask") or "mask": mask for name, mask in masks.items()}
    compare(
        *stacks("TransformerEncoder", with_norm, **settings), [sequence(0, SOURCE, settings.get("batch_first"))], masks
    )


@pytest.mark.parametrize("with_norm", [True, False])
@pytest.mark.parametrize("settings", SETTINGS[:3], ids=str)
@pytest.mark.parametrize("masks", DECODER_MASKS, ids=list)
def test_decoder(with_norm, settings, masks):
    inputs = [sequence(n, length, settings.get("batch_first")) for n, length in enumerate((TARGET, SOURCE))]
    compare(*stacks("TransformerDecoder", with_norm, **settings), inputs, masks)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize(
    "masks", [{}, {**ENCODER_MASKS[2], **DECODER_MASKS[3]}, {**ENCODER_MASKS[1], **DECODER_MASKS[1]}]
)
@MODES
def test_transformer(settings, masks, training):
    activation = settings.get("activation", "relu")
    settings = {**settings, "activation": activation}
    ours, theirs = both("Transformer", D, HEADS, 2, 1, 8, 0.0 if training else 0.5, **settings)
    inputs = [sequence(n, length, settings.get("batch_first")) for n, length in enumerate((SOURCE, TARGET))]
    compare(ours.train(training), theirs.train(training), inputs, masks)


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_single_sample(batch_first):
    ours, theirs = both("Transformer", D, HEADS, 1, 1, 8, 0.0, batch_first=batch_first)
    masks = {"src_key_padding_mask": PADDING[0], "tgt_mask": CAUSAL(TARGET, dtype=float)}
    compare(ours, theirs, [normal(0, SOURCE, D), normal(1, TARGET, D)], masks)


@pytest.mark.parametrize(
    ("activation", "other"),
    [
        (mint.tanh, torch.tanh),
        (mint.Tanh(), torch.nn.Tanh()),
        (mint.PReLU(dtype=float), torch.nn.PReLU(dtype=torch.float64)),
    ],
)
def test_an_activation_of_ones_own(activation, other):
    ours = mint.TransformerEncoderLayer(D, HEADS, 8, 0.0, activation, dtype=float)
    theirs = torch.nn.TransformerEncoderLayer(D, HEADS, 8, 0.0, other, dtype=torch.float64)
    compare(ours, theirs, [sequence(0, SOURCE, False)], {})


def test_stacks_of_ones_own():
    class Scaled(mint.Module):
        def __init__(self, factor):
            self.factor = factor

        def forward(self, x, *others, **masks):
            assert not any(m is not None for m in masks.values())
            gradients = (lambda gy: (self.factor * gy, gy)) if others else (lambda gy: self.factor * gy)
            return self.factor * x + sum(others), gradients

    model = mint.Transformer(custom_encoder=Scaled(2), custom_decoder=Scaled(3))
    assert list(model.parameters()) == []
    y, vjp = model(np.ones(2), np.full(2, 10.0))
    assert y.tolist() == [32, 32]
    assert [g.tolist() for g in vjp(np.ones(2))] == [[2, 2], [3, 3]]


def test_layers_are_copies_of_one_another_at_first_and_of_their_own_then():
    layer = mint.TransformerEncoderLayer(D, HEADS, 8)
    first, second = mint.TransformerEncoder(layer, 2).layers
    for one, other, original in zip(*(m.parameters() for m in (first, second, layer)), strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        assert len({id(one), id(other), id(original)}) == 3
        assert not np.shares_memory(one.data, other.data)


def test_layers_drop_different_elements():
    layer = mint.TransformerEncoderLayer(D, HEADS, 8, dropout=0.5, rng=np.random.default_rng(0), dtype=float)
    for copied in mint.TransformerEncoder(layer, 2).layers:
        found = {id(module.rng) for module in (copied.self_attn, copied.dropout, copied.dropout1, copied.dropout2)}
        assert found == {id(layer.dropout.rng)}
    x = sequence(0, SOURCE, False)
    encoder = mint.TransformerEncoder(layer, 2)
    assert (encoder(x)[0] != encoder(x)[0]).any()
    np.testing.assert_array_equal(encoder.eval()(x)[0], encoder(x)[0])
    # the same numbers again from a generator in the same state
    made = [mint.TransformerEncoderLayer(D, HEADS, 8, 0.5, rng=np.random.default_rng(1), dtype=float) for _ in "ab"]
    np.testing.assert_array_equal(made[0](x)[0], made[1](x)[0])


def test_every_place_where_something_is_dropped():
    # with probability 1 all that a block computes is: the norms of what is added to nothing are left
    for settings in ({}, {"norm_first": True}):
        ours, theirs = both("TransformerDecoderLayer", D, HEADS, 8, 1.0, **settings)
        compare(ours, theirs, [sequence(0, TARGET, False), sequence(1, SOURCE, False)], {})


def test_initialisation():
    model = mint.Transformer(32, 2, 1, 1, 64, rng=np.random.default_rng(0))
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = dict(torch.nn.Transformer(32, 2, 1, 1, 64).named_parameters())
    for name, parameter in model.named_parameters():
        assert parameter.data.dtype == np.float32
        if parameter.data.ndim > 1:
            bound = (6 / sum(parameter.data.shape)) ** 0.5
            for data in (parameter.data, theirs[name].detach().numpy()):
                assert 0.99 * bound < abs(data).max() <= bound
    again = mint.Transformer(32, 2, 1, 1, 64, rng=np.random.default_rng(0))
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(one.data, other.data)


def test_the_causal_mask():
    for size in (0, 1, 4):
        np.testing.assert_array_equal(CAUSAL(size), torch.nn.Transformer.generate_square_subsequent_mask(size).numpy())
    assert CAUSAL(2, dtype=np.longdouble).dtype == np.longdouble


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "TransformerEncoderLayer",
            {"activation": "tanh"},
            "TransformerEncoderLayer: activation must be 'relu', 'gelu', a",
        ),
        ("TransformerDecoderLayer", {"activation": 1}, "TransformerDecoderLayer: activation must be 'relu', 'gelu', a"),
        ("TransformerEncoderLayer", {"norm_first": 1}, "TransformerEncoderLayer: norm_first must be a bool; got 1"),
        ("TransformerEncoderLayer", {"nhead": 5}, "MultiheadAttention: num_heads must divide embed_dim, 6; got 5"),
        ("Transformer", {"rng": 1}, "Transformer: rng must be a numpy.random.Generator or None; got 1"),
        (
            "Transformer",
            {"num_encoder_layers": 0},
            "TransformerEncoder: num_layers must be an int of at least 1; got 0",
        ),
    ],
)
def test_refusals(name, arguments, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(mint, name)(**{"d_model": D, "nhead": HEADS, **arguments})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_copy_of_a_shell_shares_nothing():
    layer = mint.Linear(2, 2)
    other = copy.deepcopy(layer)
    other.weight.data[:] = 0
    assert layer.weight.data.all()
