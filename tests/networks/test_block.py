"""The fused block equals the plain one: values, first and second derivatives."""

import pytest
import torch
import torch.nn.functional as F

from hmnpack.networks.block import FusedBlock, block, plain_block


def arguments(dtype=torch.float64, images=3, channels=2, width=4, side=6):
    generator = torch.Generator().manual_seed(5)
    shapes = [(images, channels, side, side), (width, channels, 3, 3), (width,), (width,), (width,)]
    return [
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes
    ]


def reference_block(x, weight, bias, scale, shift, padding):
    x = F.group_norm(F.conv2d(x, weight, bias, padding=padding), len(weight), scale, shift, 1e-5)
    return F.avg_pool2d(F.relu(x), 2)


@pytest.mark.parametrize("padding", [1, 3])
@pytest.mark.parametrize("side", [6, 7])
def test_block_equals_group_norm_with_gradients(padding, side):
    inputs = arguments(side=side)
    results = []
    for function in (reference_block, plain_block, FusedBlock.apply):
        output = function(*inputs, padding)
        grads = torch.autograd.grad((output * output.detach().cos()).sum(), inputs)
        results.append((output.detach(), *grads))
    for other in results[1:]:
        for expected, found in zip(results[0], other, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_block_is_independent_of_the_slice_size(monkeypatch):
    inputs = arguments(torch.float32, images=7, channels=3, width=16, side=8)
    expected = reference_block(*inputs, 1)
    expected_grads = torch.autograd.grad(expected.square().sum(), inputs)
    monkeypatch.setattr("hmnpack.networks.block._SLICE", 2 * 16 * 64)
    found = block(*inputs, 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    for a, b in zip(torch.autograd.grad(found.square().sum(), inputs), expected_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(block(*inputs, 1), expected, rtol=0, atol=1e-5)


def test_block_passes_first_and_second_gradient_checks():
    inputs = [value.detach() for value in arguments(images=2, channels=1, width=2, side=4)]
    inputs = [value.requires_grad_() for value in inputs]
    assert torch.autograd.gradcheck(lambda *a: FusedBlock.apply(*a, 1), inputs)
    assert torch.autograd.gradgradcheck(lambda *a: FusedBlock.apply(*a, 1), inputs)


def test_block_computes_gradients_of_a_single_input():
    x, weight, bias, scale, shift = (value.detach() for value in arguments())
    x.requires_grad_()
    for create in (False, True):
        output = FusedBlock.apply(x, weight, bias, scale, shift, 1)
        (grad,) = torch.autograd.grad(output.sum(), [x], create_graph=create)
        output = reference_block(x, weight, bias, scale, shift, 1)
        (expected,) = torch.autograd.grad(output.sum(), [x])
        torch.testing.assert_close(grad, expected, rtol=0, atol=1e-10)


def test_second_gradient_when_a_weight_depends_on_the_images():
    x, weight, bias, scale, shift = arguments()
    results = []
    for function in (reference_block, FusedBlock.apply):
        scaled = weight * x.mean()
        output = function(x, scaled, bias, scale, shift, 1)
        (grad,) = torch.autograd.grad(output.square().sum(), [scaled], create_graph=True)
        results.append(torch.autograd.grad(grad.square().sum(), [x])[0])
    torch.testing.assert_close(results[1], results[0], rtol=1e-6, atol=1e-8)


def test_autocast_affects_only_convolutions():
    inputs = arguments(torch.float32, images=5, channels=3, width=16, side=8)
    x, weight, *_, scale, shift = [value.detach() for value in inputs]
    with torch.autocast("cpu", torch.bfloat16):
        found = block(*inputs, 1)
        with torch.no_grad():
            without_graph = block(*inputs, 1)
    maps = F.conv2d(x.bfloat16(), weight.bfloat16(), padding=1).double()
    maps = (maps - maps.mean((2, 3), keepdim=True)) / (
        maps.var((2, 3), keepdim=True, correction=0) + 1e-5
    ).sqrt()
    maps = maps * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
    expected = F.avg_pool2d(maps.relu(), 2).float()
    for output in (found, without_graph):
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)


def test_gradients_under_autocast_are_close():
    inputs = arguments(torch.float32, images=5, channels=3, width=16, side=8)
    exact, approximate = [], []
    for low, results in ((False, exact), (True, approximate)):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            loss = block(*inputs, 1).sin().square().sum()
        first = torch.autograd.grad(loss, inputs, retain_graph=True)
        twice = torch.autograd.grad(loss, inputs, create_graph=True)
        total = sum(grad.square().sum() for grad in twice)
        second = torch.autograd.grad(total, [inputs[0], inputs[1]])
        results += [*first, *twice, *second]
    for a, b in zip(approximate, exact, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() <= 0.1 * b.norm()
