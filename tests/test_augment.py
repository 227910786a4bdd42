"""Augmentations against the formulas of the reference code, image by image."""

import math

import pytest
import torch
import torch.nn.functional as F

from hmnpack import augment
from hmnpack.augment import Draws, apply, cutmix, draw, normalise
from hmnpack.errors import BadSettings
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import MATCHING_AUGMENTATIONS, TRAINING_AUGMENTATIONS
from hmnpack.schema.manifest import Normalisation

ALL = ("flip", "brightness", "saturation", "contrast", "crop", "scale", "rotate", "cutout")


def images(count=5, channels=3, height=9, width=8, dtype=torch.float64):
    shape = (count, channels, height, width)
    return torch.randn(shape, generator=stream(1, "images"), dtype=dtype)


def per_image(x, function):
    return torch.stack([function(i, image) for i, image in enumerate(x)])


def shift_with_zeros(image, down, right):
    out = torch.zeros_like(image)
    _, height, width = image.shape
    for row in range(height):
        for column in range(width):
            r, c = row + down, column + right
            if 0 <= r < height and 0 <= c < width:
                out[:, row, column] = image[:, r, c]
    return out


def reference(name, x, u):
    """The formula of each augmentation, for samples u in [0, 1)."""
    if name == "flip":
        return per_image(x, lambda i, im: im.flip(2) if u[i] < 0.5 else im)
    if name == "brightness":
        return per_image(x, lambda i, im: im + (u[i] - 0.5))
    if name == "saturation":
        return per_image(x, lambda i, im: (im - im.mean(0)) * (u[i] * 2) + im.mean(0))
    if name == "contrast":
        return per_image(x, lambda i, im: (im - im.mean()) * (u[i] + 0.5) + im.mean())
    if name == "crop":
        most = [math.floor(0.125 * side + 0.5) for side in x.shape[2:]]
        shifts = [[int(a * (2 * m + 1)) - m for a, m in zip(row, most, strict=True)] for row in u]
        return per_image(x, lambda i, im: shift_with_zeros(im, *shifts[i]))
    if name == "cutout":
        return per_image(x, lambda i, im: cut_out(im, u[i]))
    thetas = [scale_matrix(v) if name == "scale" else rotation_matrix(v, *x.shape[2:]) for v in u]
    grid = F.affine_grid(torch.tensor(thetas, dtype=x.dtype), x.shape, align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def cut_out(image, u):
    """Half-size square about a random centre, clipped at the border."""
    image = image.clone()
    spans = []
    for number, side in zip(u.tolist(), image.shape[1:], strict=True):
        size = int(side * 0.5 + 0.5)
        first = int(number * (side + 1 - size % 2)) - size // 2
        spans.append(slice(max(first, 0), max(first + size, 0)))
    image[:, spans[0], spans[1]] = 0
    return image


def scale_matrix(v):
    across, down = (float(a) * (1.2 - 1 / 1.2) + 1 / 1.2 for a in v)
    return [[across, 0, 0], [0, down, 0]]


def rotation_matrix(v, height, width):
    """A rotation in pixels, for a grid whose unit is half of each side."""
    angle = (float(v) - 0.5) * 2 * 15 / 180 * math.pi
    turn = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    sides = torch.tensor([[width, 0], [0, height]], dtype=torch.float64)
    turned = sides.inverse() @ torch.tensor(turn, dtype=torch.float64) @ sides
    return F.pad(turned, (0, 1)).tolist()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ALL)
def test_augmentation_matches_its_formula(name, channels):
    x = images(count=40, channels=channels)
    draws = draw((name,), len(x), stream(2, name))
    uniform = getattr(draws, name).double()
    found = apply(x, Draws(**{name: uniform}))
    torch.testing.assert_close(found, reference(name, x, uniform), rtol=0, atol=1e-7)


def test_rotation_preserves_distances_in_non_square_images():
    """A point 24 pixels right of the centre, rotated by 15 degrees: 6.2 rows up, 0.8 columns in."""
    x = torch.zeros(1, 1, 33, 65)
    x[..., 16, 56] = 1
    found = augment.rotate(x, torch.ones(1))[0, 0]
    rows, columns = torch.meshgrid(torch.arange(33.0), torch.arange(65.0), indexing="ij")
    down, right = ((place * found).sum() / found.sum() for place in (rows, columns))
    assert (abs(float(down) - 16), float(right) - 32) == pytest.approx((6.21, 23.18), abs=0.1)


def test_apply_uses_the_order_of_idc():
    x = images()
    draws = draw(ALL, len(x), stream(3, "order"))
    expected = x
    for name in ALL:
        expected = reference(name, expected, getattr(draws, name).double())
    found = apply(x, Draws(**{name: getattr(draws, name).double() for name in ALL}))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_augmentation_passes_gradcheck(name):
    x = images(count=2, channels=2, height=5, width=4).requires_grad_()
    uniform = getattr(draw((name,), 2, stream(4, name)), name).double()
    assert torch.autograd.gradcheck(lambda im: apply(im, Draws(**{name: uniform})), [x])


def test_shared_draws_augment_equal_images_equally():
    real, synthetic = images(count=6), images(count=6)
    per_class = draw(MATCHING_AUGMENTATIONS, 2, stream(5, "siamese"))
    rows = torch.tensor([0, 1]).repeat_interleave(3)
    draws = per_class.index(rows)
    assert torch.equal(apply(real, draws), apply(synthetic, draws))
    both = apply(torch.cat([real, synthetic]), draws.index(torch.arange(6).repeat(2)))
    assert torch.equal(both[:6], both[6:])


def test_single_draw_applies_to_all_images():
    x = images()
    single = draw(ALL, 1, stream(6, "one"))
    repeated = single.index(torch.zeros(len(x), dtype=torch.int64))
    torch.testing.assert_close(apply(x, single), apply(x, repeated), rtol=0, atol=1e-12)


def test_saturation_of_greyscale_is_the_identity():
    x = images(channels=1)
    assert augment.saturation(x, torch.rand(len(x), generator=stream(0, "u"))) is x


def test_draw_one_spatial_selects_exactly_one():
    seen = set()
    for index in range(40):
        names = (*TRAINING_AUGMENTATIONS, "cutout")
        draws = draw(names, 2, stream(7, index), one_spatial=True)
        spatial = [
            n for n in ("crop", "scale", "rotate", "cutout") if getattr(draws, n) is not None
        ]
        assert len(spatial) == 1
        assert all(getattr(draws, n) is not None for n in ALL[:4])
        seen.add(spatial[0])
    assert seen == {"crop", "scale", "rotate", "cutout"}
    assert draw(("flip",), 2, stream(7), one_spatial=True).crop is None


def test_draw_without_one_augmentation_leaves_the_others_unchanged():
    every, few = draw(ALL, 3, stream(8)), draw(("contrast", "cutout"), 3, stream(8))
    assert torch.equal(every.contrast, few.contrast)
    assert torch.equal(every.cutout, few.cutout)
    assert few.flip is None


def test_apply_without_draws_is_the_identity():
    x = images()
    assert apply(x, draw((), len(x), stream(9))) is x


def test_normalise_scales_each_channel():
    x = torch.rand(2, 2, 3, 3, generator=stream(10))
    found = normalise(x, Normalisation(mean=(0.25, 0.5), std=(0.5, 2.0)))
    expected = torch.stack([(x[:, 0] - 0.25) / 0.5, (x[:, 1] - 0.5) / 2], 1)
    torch.testing.assert_close(found, expected)


def test_normalise_accepts_a_single_image():
    x = torch.rand(2, 3, 4)
    how = Normalisation(mean=(0.25, 0.5), std=(0.5, 2.0))
    assert torch.equal(normalise(x, how), normalise(x[None], how)[0])


def test_normalise_rejects_integers():
    """The result would be integers that wrapped around; a source's pixels are integers."""
    pixels = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(BadSettings, match=r"torch\.uint8.* / 255"):
        normalise(pixels, Normalisation(mean=(0.25,), std=(0.5,)))


def test_cutmix_weights_labels_by_the_exact_area():
    x = torch.arange(7.0).view(7, 1, 1, 1).expand(7, 1, 10, 12).contiguous()
    before = x.clone()
    kept = []
    for index in range(300):
        mixed = cutmix(x, stream(11, index))
        own = (mixed.images == before).sum((1, 2, 3)) / 120
        moved = mixed.partner != torch.arange(7)
        torch.testing.assert_close(own[moved], torch.full_like(own[moved], mixed.kept))
        others = before[mixed.partner]
        assert bool(((mixed.images == before) | (mixed.images == others)).all())
        assert sorted(mixed.partner.tolist()) == list(range(7))
        boxes = (mixed.images != before)[moved]
        assert bool((boxes == boxes[:1]).all())
        kept.append(mixed.kept)
    assert torch.equal(x, before)
    assert 0.55 < sum(kept) / 300 < 0.8
    assert min(kept) < 0.4
    assert max(kept) > 0.97


def test_cutmix_passes_gradients():
    x = images(count=3, height=4, width=4).requires_grad_()
    assert torch.autograd.gradcheck(lambda im: cutmix(im, stream(12)).images, [x])
