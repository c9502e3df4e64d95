"""Nothing differentiable in torch.nn is missing: a function or class is offered, or listed here with a reason."""

import fnmatch
import inspect

import pytest

import mint
from oracles.catalogue import catalogue

torch = pytest.importorskip("torch", reason="lists what PyTorch offers")

REASONS = {
    "assert_int_or_pair": "checks an argument, computes nothing",
    "scaled_mm": "a product of float8 matrices: no gradient, and no dtype that NumPy has",
    "scaled_grouped_mm": "a product of float8 matrices: no gradient, and no dtype that NumPy has",
    "native_channel_shuffle": "another name of channel_shuffle, for a kernel without gradient",
    "upsample*": "deprecated names of interpolate",
    "Lazy*": "a layer whose sizes come with its first input; its operation is that of the class without Lazy",
    "*Base": "a class to derive RNNs from, no layer",
    "Buffer": "an array that is no parameter: in Mint that is an array",
    "Uninitialized*": "the parameters and buffers of the Lazy classes",
    "Container": "a deprecated name of Module",
    "DataParallel": "runs a module on several devices, computes nothing of its own",
    "SyncBatchNorm": "batch normalisation over several processes; on one it is BatchNorm",
    "LinearCrossEntropyOptions": "how PyTorch's linear_cross_entropy cuts its work into chunks",
}

#: Names under which Mint has a function of PyTorch's.
RENAMED = {"multi_head_attention_forward": "multi_head_attention"}

#: Arguments of PyTorch's constructors that Mint's shells do not take.
LEFT_OUT = {
    "device": "arrays live in main memory",
    "inplace": "no operation writes into its input",
    "requires_grad": "a Parameter is an array that is learned; another is an array",
    "size_average": "deprecated: reduction",
    "reduce": "deprecated: reduction",
    "min_value": "deprecated: min_val",
    "max_value": "deprecated: max_val",
    "sparse": "gradients are dense arrays",
    "_weight": "internal",
    "_freeze": "internal",
    "options": "how PyTorch's linear_cross_entropy cuts its work into chunks",
    "enable_nested_tensor": "how PyTorch packs sequences of different lengths",
    "mask_check": "how PyTorch packs sequences of different lengths",
    "args": "no name of an argument",
    "kwargs": "no name of an argument",
}


def machinery():
    """What torch.nn.functional imports for its own use."""
    return [v for module in (torch.overrides, torch._jit_internal) for v in vars(module).values() if callable(v)]


def functions():
    """The public functions, without those that overwrite their input and those with a flag's value in their name."""
    functional = vars(torch.nn.functional)
    for name, value in functional.items():
        ours = callable(value) and not inspect.isclass(value) and name[0].islower() and value not in machinery()
        variant = name.removesuffix("_with_indices").removesuffix("_")
        if ours and (variant == name or variant not in functional):
            yield name


def classes():
    return [name for name, value in vars(torch.nn).items() if inspect.isclass(value)]


def reason(name):
    return next((pattern for pattern in REASONS if fnmatch.fnmatchcase(name, pattern)), None)


def test_every_function_of_torch_nn_functional_is_offered_or_has_a_reason():
    assert [n for n in functions() if RENAMED.get(n, n) not in catalogue() and not reason(n)] == []


def test_every_class_of_torch_nn_is_offered_or_has_a_reason():
    assert [n for n in classes() if not hasattr(mint, n) and not reason(n)] == []


def test_the_reasons_are_few_and_each_is_needed():
    missing = [n for n in functions() if RENAMED.get(n, n) not in catalogue()]
    missing += [n for n in classes() if not hasattr(mint, n)]
    assert len(REASONS) <= 15
    assert {reason(name) for name in missing} == set(REASONS)


def test_there_are_many():
    assert len(catalogue()) >= 120


@pytest.mark.parametrize("name", sorted(set(classes()) & set(mint.__all__)))
def test_a_shell_takes_the_arguments_of_its_class_in_that_order(name):
    def names(shell):
        return [p.name for p in inspect.signature(shell).parameters.values()]

    theirs, ours = names(getattr(torch.nn, name)), names(getattr(mint, name))
    shared = [argument for argument in theirs if argument in ours]
    assert [argument for argument in ours if argument in shared] == shared
    assert set(theirs) - set(ours) <= set(LEFT_OUT)
