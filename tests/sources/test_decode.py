import io
import re
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile, PngInfo

from hmnpack.errors import BadData, BadImage
from hmnpack.runtime.progress import no_progress
from hmnpack.sources.decode import Encoded, Reference, decode, reference_of
from hmnpack.sources.types import SourceOptions

PLAIN = SourceOptions()
SKIPPING = SourceOptions(skip_bad=True)


def encoded(payloads):
    labels = torch.arange(len(payloads))
    return Encoded(labels, lambda a, b: payloads[a:b], lambda index: f"image {index}")


def decoded(payloads, options=PLAIN, listener=no_progress):
    split = encoded(payloads)
    return decode(split, reference_of(split, options), options, listener)


def as_tensor(image):
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


@pytest.mark.parametrize("form", ["PNG", "BMP", "PPM", "TIFF", "WEBP", "GIF"])
def test_lossless_formats_decode_exactly(image_of, encode, form):
    image = image_of(mode="L" if form == "GIF" else "RGB")
    settings = {"lossless": True} if form == "WEBP" else {}
    images = decoded([encode(image, form, **settings)]).images
    assert torch.equal(images[0].expand(3, -1, -1), as_tensor(image).expand(3, -1, -1))


def test_jpeg_decodes_like_pillow(image_of, encode, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(image_of(size=(32, 24)), "JPEG"))
    with Image.open(path) as image:
        assert torch.equal(decoded([path]).images[0], as_tensor(image))


def test_order_is_stable_over_many_tasks_and_threads(image_of, encode, monkeypatch):
    monkeypatch.setattr("hmnpack.sources.decode._PIXELS_FOR_THREADS", 0)
    images = [image_of(seed) for seed in range(300)]
    calls = []
    found = decoded(
        [encode(image) for image in images],
        listener=lambda *event: calls.append(event),
    )
    assert torch.equal(found.images, torch.stack([as_tensor(image) for image in images]))
    assert found.labels.tolist() == list(range(300))
    assert calls == [("decode", 128, 300), ("decode", 256, 300), ("decode", 300, 300)]


def test_chunk_shrinks_with_image_size():
    sides = [(1, 1), (256, 128), (1024, 1024), (4096, 4096)]
    assert [Reference("x", *side, 3, 1).chunk for side in sides] == [128, 128, 8, 1]


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_greyscale_stays_one_channel(image_of, encode, mode):
    image = image_of(mode=mode)
    found = decoded([encode(image)] * 2)
    assert torch.equal(found.images[0], as_tensor(image.convert("L")))


@pytest.mark.parametrize("colour_at", [0, 1, 200])
def test_one_colour_image_converts_all_to_rgb(image_of, encode, colour_at):
    images = [image_of(seed, mode="L") for seed in range(201)]
    images[colour_at] = image_of(7)
    found = decoded([encode(image) for image in images]).images
    expected = torch.stack([as_tensor(image.convert("RGB")) for image in images])
    assert torch.equal(found, expected)


def test_sixteen_bit_greyscale_becomes_eight_bit(encode):
    values = np.array([[0, 255, 256, 65535]], np.uint16)
    assert decoded([encode(Image.fromarray(values))]).images.flatten().tolist() == [0, 0, 1, 255]


def test_palette_with_transparency_becomes_rgb(image_of, encode):
    image = image_of(mode="P")
    payload = encode(image, transparency=bytes(range(256)))
    assert torch.equal(decoded([payload]).images[0], as_tensor(image.convert("RGB")))


def test_transparency_is_dropped(image_of, encode):
    image = image_of(mode="RGBA")
    assert torch.equal(decoded([encode(image)]).images[0], as_tensor(image.convert("RGB")))


def test_exif_orientation_is_applied(image_of, encode):
    image = image_of()
    turned = Image.Exif()
    turned[0x0112] = 6  # the top of the image is stored on the right-hand side
    found = decoded([encode(image, exif=turned)]).images[0]
    assert torch.equal(found, as_tensor(image.transpose(Image.Transpose.ROTATE_270)))


ORIENTED = Image.Exif()
ORIENTED[0x0112] = 6  # the top of the image is stored on the right-hand side


def _oriented_xmp(value=6):
    return f'<x:xmpmeta><rdf:Description tiff:Orientation="{value}"/></x:xmpmeta>'


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
@pytest.mark.parametrize(
    "block",
    [
        b"not a block of EXIF",
        b"Exif\0\0" + b"II*\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12\0\x03",  # nine entries announced, half of one there
        b"II*\0\xff\xff\xff\x7f",
        b"\xff" * 64,
    ],
)
def test_damaged_exif_leaves_the_pixels(image_of, encode, form, block):
    settings = {"lossless": True} if form == "WEBP" else {}
    image = image_of()
    found = decoded([encode(image, form, exif=block, **settings)])
    assert torch.equal(found.images[0], as_tensor(image))


@pytest.mark.parametrize("value", range(10))
def test_every_orientation_is_applied_as_by_pillow(image_of, encode, value):
    exif = Image.Exif()
    exif[0x0112] = value
    image = image_of()
    payload = encode(image, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(payload)))
    assert torch.equal(decoded([payload]).images[0], as_tensor(expected))
    assert torch.equal(as_tensor(expected), as_tensor(image)) == (value in (0, 1, 9))


def test_orientation_is_found_in_a_raw_png_profile(image_of, encode):
    data, text = ORIENTED.tobytes(), PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(data):8}\n{data.hex()}\n")
    image = image_of()
    turned = as_tensor(image.transpose(Image.Transpose.ROTATE_270))
    assert torch.equal(decoded([encode(image, pnginfo=text)]).images[0], turned)


def test_damaged_raw_png_profile_leaves_the_pixels(image_of, encode):
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n 8\nno hexadecimal digits\n")
    image = image_of()
    assert torch.equal(decoded([encode(image, pnginfo=text)]).images[0], as_tensor(image))


@pytest.mark.parametrize("exif", [None, b"not a block of EXIF"])
def test_orientation_is_found_in_xmp_even_beside_damaged_exif(image_of, encode, exif):
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", _oriented_xmp())
    image = image_of()
    settings = {"pnginfo": text} | ({"exif": exif} if exif else {})
    turned = as_tensor(image.transpose(Image.Transpose.ROTATE_270))
    assert torch.equal(decoded([encode(image, **settings)]).images[0], turned)


@pytest.mark.parametrize("form", ["WEBP", "TIFF"])
def test_orientation_is_found_in_the_xmp_of_other_formats(image_of, encode, form):
    image = image_of()
    settings = {"lossless": True, "xmp": _oriented_xmp(3).encode()}
    if form == "TIFF":
        settings = {"tiffinfo": {700: _oriented_xmp(3).encode()}}
    turned = as_tensor(image.transpose(Image.Transpose.ROTATE_180))
    assert torch.equal(decoded([encode(image, form, **settings)]).images[0], turned)


def test_oriented_tiff_is_turned_once(image_of, encode):
    image = image_of()
    turned = as_tensor(image.transpose(Image.Transpose.ROTATE_270))
    payload = encode(image, "TIFF", tiffinfo={0x0112: 6})
    assert torch.equal(decoded([payload]).images[0], turned)


@pytest.mark.parametrize("side", [2, 3, 8])
def test_size_resizes_the_shorter_side_and_crops_the_centre(image_of, encode, side):
    image = image_of(size=(12, 4))
    found = decoded([encode(image)], SourceOptions(size=side)).images[0]
    resized = image.resize((3 * side, side), Image.Resampling.BILINEAR)
    assert torch.equal(found, as_tensor(resized.crop((side, 0, 2 * side, side))))


def test_large_jpeg_is_resized_like_its_full_decoding(encode):
    x, y = np.meshgrid(np.linspace(0, 6, 400), np.linspace(0, 6, 300))
    wave = ((np.sin(x) * np.cos(y) + 1) * 127).astype(np.uint8)
    payload = encode(Image.fromarray(wave), "JPEG", quality=95)
    found = decoded([payload], SourceOptions(size=16)).images[0, 0]
    square = Image.fromarray(wave[:, 50:350]).resize((16, 16), Image.Resampling.BILINEAR)
    assert (found.int() - as_tensor(square)[0].int()).abs().max() <= 3


def test_photo_like_jpeg_is_within_a_level_of_its_full_decoding(encode):
    """The decoder's own scaling; detail as in photographs: amplitude falls with frequency."""
    rng = np.random.default_rng(0)
    layers = [rng.integers(0, 256, (side, side, 3), np.uint8) for side in (3, 8, 24, 70, 200)]
    smooth = [np.asarray(Image.fromarray(layer).resize((200, 200)), float) for layer in layers]
    photo = sum(layer / 2**number for number, layer in enumerate(smooth)) / 2
    photo = Image.fromarray(photo.astype(np.uint8))
    payload = encode(photo, "JPEG", quality=90)
    full = Image.open(io.BytesIO(payload)).resize((16, 16), Image.Resampling.BILINEAR)
    found = decoded([payload], SourceOptions(size=16)).images[0]
    assert (found.int() - as_tensor(full).int()).abs().float().mean() <= 1


def test_different_sizes_are_rejected_without_size(image_of, encode):
    payloads = [encode(image_of(size=(6, 4))), encode(image_of(size=(5, 4)))]
    message = "image 1 is 5x4 pixels but image 0 is 6x4: resize all to one size, such as --size 4"
    with pytest.raises(BadData, match=re.escape(message)):
        decoded(payloads)
    assert decoded(payloads, SourceOptions(size=3)).images.shape == (2, 3, 3, 3)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM"])
def test_truncated_image_is_rejected_by_name(image_of, encode, form):
    complete = encode(image_of(size=(40, 30)), form)
    payloads = [complete, complete, complete[: len(complete) // 2]]
    with pytest.raises(BadImage, match=r"^cannot read image 2 \(.+\): repair it, or .*--skip-bad"):
        decoded(payloads)


@pytest.mark.parametrize("payload", [b"", b"not an image", None, b"\xff\xd8\xff\xe0"])
def test_non_image_is_rejected_by_name(image_of, encode, payload):
    with pytest.raises(BadImage, match=r"^cannot read image 1") as caught:
        decoded([encode(image_of()), payload])
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)


def test_error_of_any_type_that_pillow_raises_names_the_image(image_of, encode, monkeypatch):
    def load(image):
        raise RuntimeError("Decoding of color planes failed")  # as its AVIF reader does

    monkeypatch.setattr(PngImageFile, "load", load)
    with pytest.raises(BadImage, match=r"cannot read image 0 \(Decoding of color planes failed\)"):
        decoded([encode(image_of(0))])


def test_chunks_are_decoded_a_few_ahead(image_of, encode, monkeypatch):
    monkeypatch.setattr("hmnpack.sources.decode._CHUNK", 1)
    begun, seen = [], []

    def read(start, stop):
        begun.append(start)
        return [encode(image_of(i)) for i in range(start, stop)]

    split = Encoded(torch.zeros(20, dtype=torch.int64), read, str)
    reference = replace(reference_of(split, SourceOptions()), threads=2)
    begun.clear()
    decode(split, reference, SourceOptions(), lambda *_: seen.append(len(begun)))
    assert all(ahead <= done + 4 for done, ahead in enumerate(seen, 1))


def test_skip_bad_skips_and_counts_bad_images(image_of, encode):
    good = [image_of(seed) for seed in (1, 2)]
    payloads = [b"", encode(good[0]), None, encode(good[1]), b"junk"]
    found = decoded(payloads, SKIPPING)
    assert found.skipped == 3
    assert found.labels.tolist() == [1, 3]
    assert torch.equal(found.images, torch.stack([as_tensor(image) for image in good]))


def test_skip_bad_skips_a_task_of_bad_images(image_of, encode):
    found = decoded([encode(image_of())] + [b""] * 300 + [encode(image_of(1))], SKIPPING)
    assert (found.skipped, found.labels.tolist()) == (300, [0, 301])


def test_only_bad_images_are_rejected():
    with pytest.raises(BadData, match="no image is readable; the first is image 0"):
        decoded([b"", b""], SKIPPING)


def test_only_image_formats_are_tried(image_of, encode):
    with pytest.raises(BadImage, match="cannot read image 0"):
        decoded([encode(image_of(), "PDF")])


def test_image_above_the_maximum_side_is_rejected(encode):
    with pytest.raises(BadData, match="image 0 is 4097x1 pixels, more than 4096 a side"):
        decoded([encode(Image.new("L", (4097, 1)))])


def test_ten_and_twelve_bit_greyscale_becomes_eight_bit(tmp_path):
    ten = b"P5 2 2 1023\n" + b"".join(v.to_bytes(2, "big") for v in (0, 341, 682, 1023))
    assert decoded([ten]).images.flatten().tolist() == [0, 85, 170, 255]
    twelve = _twelve_bit_tiff([0, 15, 2048, 4095])
    assert decoded([twelve]).images.flatten().tolist() == [0, 0, 128, 255]


def _twelve_bit_tiff(values):
    """Return a one-row TIFF that follows the specification: two pixels in three bytes."""
    joined = sum(value << 12 * (len(values) - 1 - n) for n, value in enumerate(values))
    pixels = joined.to_bytes(len(values) * 3 // 2, "big")
    short, long = 3, 4
    entries = [
        *((256, short, len(values)), (257, short, 1), (258, short, 12), (259, short, 1)),
        *((262, short, 1), (273, long, 8), (277, short, 1), (278, short, 1)),
        (279, long, len(pixels)),
    ]
    table = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        table += struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value)
    return struct.pack("<2sHI", b"II", 42, 8 + len(pixels)) + pixels + table + bytes(4)
