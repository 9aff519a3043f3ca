"""One image file to one array: every format and mode, rotation, transparency, size, and files that are no images."""

import contextlib
import io
import os
import struct
import zlib

import numpy as np
import pytest
from image_files import encoded, smooth
from PIL import Image

from cct.data.images.decoding import ImageError, ImageOptions, decode_image, fit_array

OWN = None
RED, WHITE = (255, 0, 0), (255, 255, 255)


def pixels(content, **options):
    """Of an image of 24x32, without a change of its size."""
    return decode_image(content, ImageOptions(**({"height": 24, "width": 32, "channels": 3} | options))).pixels_hwc


@pytest.mark.parametrize(
    ("form", "options", "difference"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 4),
        ("JPEG", {"quality": 95, "subsampling": 0}, 4),
        ("JPEG", {"quality": 95, "progressive": True, "subsampling": 0}, 4),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_gives_the_pixels(form, options, difference, channels):
    image = smooth(channels=channels)
    found = decode_image(encoded(image, form, **options), OWN)
    assert (found.height, found.width, found.decoder) == (24, 32, form)
    assert np.abs(found.pixels_hwc.astype(int) - image).mean() <= difference


def test_several_images_in_a_jpeg_are_a_jpeg():
    """As many phones and cameras write them (MPO); the first counts."""
    image = Image.fromarray(smooth())
    found = decode_image(encoded(image, "MPO", save_all=True, append_images=[image.rotate(180)], quality=95), OWN)
    assert found.decoder == "JPEG" and np.abs(found.pixels_hwc.astype(int) - smooth()).mean() < 4


def test_the_first_frame_of_an_animation_is_used():
    frames = [Image.new("L", (32, 24), value) for value in (40, 200)]
    for form in ("GIF", "TIFF", "PNG", "WEBP"):
        content = encoded(
            frames[0], form, save_all=True, append_images=frames[1:], **({"lossless": True} if form == "WEBP" else {})
        )
        np.testing.assert_array_equal(pixels(content), np.full((24, 32, 3), 40))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_exif_rotation_is_applied(orientation, form):
    """The eight orientations are the eight symmetries of a rectangle."""
    upright = Image.new("RGB", (32, 24), "black")
    upright.paste(RED, (0, 0, 16, 8))
    undo = {
        1: (), 2: (Image.Transpose.FLIP_LEFT_RIGHT,), 3: (Image.Transpose.ROTATE_180,),
        4: (Image.Transpose.FLIP_TOP_BOTTOM,), 5: (Image.Transpose.TRANSPOSE,), 6: (Image.Transpose.ROTATE_90,),
        7: (Image.Transpose.TRANSVERSE,), 8: (Image.Transpose.ROTATE_270,),
    }[orientation]  # fmt: skip
    stored = upright
    for step in undo:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode_image(encoded(stored, form, exif=exif), OWN)
    assert (found.height, found.width) == (24, 32)
    assert np.abs(found.pixels_hwc.astype(int) - np.asarray(upright)).mean() < 12  # JPEG and WebP blur the edges


def test_a_palette_becomes_colours():
    image = Image.new("P", (32, 24), 1)
    image.putpalette([*WHITE, *RED])
    np.testing.assert_array_equal(pixels(encoded(image))[0, 0], RED)


@pytest.mark.parametrize(("alpha", "expected"), [(0, (0, 0, 255)), (255, RED), (51, (51, 0, 204))])
def test_transparency_is_put_on_the_background(alpha, expected):
    layer = Image.new("RGBA", (32, 24), (*RED, alpha))
    for content in (encoded(layer), encoded(layer, "WEBP", lossless=True, exact=True), encoded(layer, "TIFF")):
        np.testing.assert_array_equal(pixels(content, background=(0, 0, 255))[0, 0], expected)
    if alpha == 0:  # a palette with a transparent colour, and a transparent colour without alpha
        palette = Image.new("P", (32, 24), 0)
        palette.putpalette([*RED])
        assert tuple(pixels(encoded(palette, transparency=0), background=(0, 0, 255))[0, 0]) == expected
        assert (
            tuple(pixels(encoded(Image.new("RGB", (32, 24), RED), transparency=RED), background=(0, 0, 255))[0, 0])
            == expected
        )


def test_grey_with_alpha():
    content = encoded(Image.new("LA", (32, 24), (100, 51)))
    white, blue = (decode_image(content, ImageOptions(24, 32, 3, background=back)) for back in (WHITE, (0, 0, 255)))
    assert tuple(white.pixels_hwc[0, 0]) == (224, 224, 224) and tuple(blue.pixels_hwc[0, 0]) == (20, 20, 224)


def test_cmyk_becomes_rgb():
    for form in ("JPEG", "TIFF"):
        found = pixels(encoded(Image.new("CMYK", (32, 24), (0, 255, 255, 0)), form))
        assert np.abs(found[0, 0].astype(int) - RED).max() <= 2


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_lose_the_lower_eight(form):
    values = np.linspace(0, 65535, 24 * 32).astype(np.uint16).reshape(24, 32)
    content = encoded(Image.fromarray(values), form)
    np.testing.assert_array_equal(pixels(content, channels=1)[..., 0], values >> 8)


def test_one_bit_is_black_and_white():
    found = pixels(encoded(Image.new("1", (32, 24), 1)), channels=1)
    np.testing.assert_array_equal(found, np.full((24, 32, 1), 255))


def test_colours_become_grey_and_grey_becomes_colours():
    image = smooth()
    grey = pixels(encoded(image), channels=1)
    np.testing.assert_array_equal(grey[..., 0], np.asarray(Image.fromarray(image).convert("L")))
    np.testing.assert_array_equal(pixels(encoded(grey)), np.repeat(grey, 3, axis=-1))


def test_another_aspect_ratio():
    """Of 20x40, a red square of 20 between two blue stripes of 10."""
    image = Image.new("RGB", (40, 20), (0, 0, 255))
    image.paste(RED, (10, 0, 30, 20))
    content = encoded(image)
    square = {"height": 20, "width": 20}
    np.testing.assert_array_equal(pixels(content, resize="crop", **square), np.full((20, 20, 3), RED))
    padded = pixels(content, resize="pad", background=(0, 255, 0), **square)
    assert [tuple(padded[row, 10]) for row in (0, 4, 10, 15, 19)] == [(0, 255, 0)] * 2 + [RED] + [(0, 255, 0)] * 2
    assert tuple(padded[10, 1]) == (0, 0, 255)
    stretched = pixels(content, resize="stretch", **square)
    assert tuple(stretched[10, 1]) == (0, 0, 255) and tuple(stretched[0, 10]) == RED
    grey = pixels(content, resize="pad", background=(0, 255, 0), channels=1, **square)
    assert grey[0, 0, 0] == np.asarray(Image.new("RGB", (1, 1), (0, 255, 0)).convert("L"))[0, 0]


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_large_image_is_averaged_not_sampled(form):
    """Fine stripes become grey: a JPEG is decoded at a part of its size, and the rest is a filter."""
    stripes = np.zeros((512, 512), np.uint8)
    stripes[:, ::2] = 255
    found = pixels(
        encoded(stripes[..., None], form, **({"quality": 95} if form == "JPEG" else {})), height=16, width=16
    )
    assert np.abs(found.astype(int) - 128).max() <= 3


def test_arrays_are_fitted_by_the_same_function():
    image = smooth()
    options = ImageOptions(12, 12, 1, "pad", (0, 0, 0))
    np.testing.assert_array_equal(fit_array(image, options), decode_image(encoded(image), options).pixels_hwc)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header says this size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


GOOD = encoded(smooth(height=200, width=200), "JPEG", quality=95)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"hello", "not an image (JPEG, PNG, WEBP, BMP, GIF, TIFF)"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image ("),
        (b"%PDF-1.7", "not an image ("),
        (GOOD[: len(GOOD) // 2], "damaged: image file is truncated ("),
        (GOOD[:100], "damaged: Truncated File Read"),
        (encoded(smooth())[:-30], "damaged: "),
        (encoded(smooth(), "WEBP")[:-30], "damaged: "),
        (encoded(smooth(), "TIFF")[:-300], "damaged: "),
        (encoded(smooth(), "BMP")[:-300], "damaged: "),
        (encoded(Image.new("L", (32, 24), 3), "GIF")[:-12], "damaged: "),
        (png_of_size(100_000, 100_000), "more than 134,217,728 pixels"),
        (png_of_size(20_000, 8_000), "8000x20000 pixels, more than 134,217,728"),
        (png_of_size(1, 1), "1x1 pixels: too small"),
        (encoded(Image.new("L", (300, 1), 3)), "1x300 pixels: too small"),
        (encoded(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF"), "damaged: pixels of 32 bits (F) have no"),
        (encoded(Image.fromarray(np.zeros((9, 9), np.int32)), "TIFF"), "damaged: pixels of 32 bits (I) have no"),
        (encoded(smooth(), "ICO", sizes=[(16, 16)]), "not an image ("),  # Pillow could read it
        (encoded(smooth(), "PPM"), "not an image ("),
        (encoded(smooth(), "EPS"), "not an image ("),  # Ghostscript would run it
    ],
)  # fmt: skip
def test_bad_files_are_refused_in_one_line(content, sentence):
    with pytest.raises(ImageError) as caught:
        decode_image(content, ImageOptions(8, 8, 3))
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


def test_bad_paths_are_refused(tmp_path):
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(1 << 30)  # with no block on the disk
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    for name, sentence in [
        ("pipe.jpg", "not a plain file"),
        ("broken.jpg", "a broken link"),
        ("device.jpg", "not a plain file"),
        ("folder.jpg", "not a plain file"),
        ("absent.jpg", "absent"),
        ("large.jpg", "1,073,741,824 bytes, more than 536,870,912"),
    ]:
        with pytest.raises(ImageError, match=f"^{sentence}$"):
            decode_image(tmp_path / name, OWN)


def test_any_cut_of_a_file_is_an_image_or_refused():
    for form in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"):
        content = encoded(smooth(height=9, width=9), form)
        for length in range(0, len(content), 7):
            with contextlib.suppress(ImageError):
                assert decode_image(content[:length], ImageOptions(8, 8, 3)).pixels_hwc.shape == (8, 8, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("options", [OWN, ImageOptions(8, 8, 3)])
def test_what_pillow_finds_damaged_is_refused(form, options):
    """One flipped byte. Pillow accepts a damaged PNG whose EXIF data were asked for before its pixels."""
    content = encoded(smooth(height=64, width=64), form)
    places = range(8, len(content), max(1, len(content) // 40))
    damaged = [content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :] for place in places]
    for one in damaged:
        try:
            with Image.open(io.BytesIO(one)) as image:
                image.load()
        except (OSError, SyntaxError, ValueError):
            with pytest.raises(ImageError):
                decode_image(one, options)


def test_a_flipped_byte_of_a_png_is_found():
    """Whatever Pillow does: a PNG has checksums."""
    content = encoded(smooth(height=64, width=64), "PNG")
    place = content.index(b"IDAT") + 40
    with pytest.raises(ImageError, match=r"^damaged: "):
        decode_image(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], OWN)


def test_a_path_and_its_bytes_give_the_same(tmp_path):
    content = encoded(smooth(), "JPEG")
    (tmp_path / "a").write_bytes(content)
    np.testing.assert_array_equal(decode_image(tmp_path / "a", OWN).pixels_hwc, decode_image(content, OWN).pixels_hwc)
    assert Image.open(io.BytesIO(content)).size == (32, 24)
