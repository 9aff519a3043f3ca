"""One image file to one array of pixels."""

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from cct.data.plain_files import FileError, read_plain_file
from cct.errors import one_line

if TYPE_CHECKING:
    from PIL.Image import Image

# The decoders that see a file of unknown origin, by Pillow's names, and the endings that count as images.
DECODERS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MIN_SIDE, MAX_PIXELS = 2, 2**27  # an image of 134 million pixels with alpha needs 2 GB while it is decoded
MAX_FILE_BYTES = 1 << 29  # more than an uncompressed image of the largest size needs
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
ORIENTATION, QUARTER_TURNS = 0x0112, (5, 6, 7, 8)  # the field of EXIF, and its values that exchange height and width
# What Pillow's decoders raise for damaged files.
DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error)


class ImageError(FileError):
    """A file is not an image that can be used. The message is a predicate without the file's name."""


class ImageOptions(NamedTuple):
    """How an image becomes an array.

    Attributes:
        height: of the array, in pixels.
        width: of the array, in pixels.
        channels: 1 for grey, 3 for red, green and blue.
        resize: "crop" scales the image until it covers the array, and cuts off the rest on both sides. "pad" scales it
            until it fits, and fills the rest with the background. "stretch" changes its aspect ratio.
        background: red, green and blue, behind transparent pixels and padding.
    """

    height: int
    width: int
    channels: Literal[1, 3]
    resize: Literal["crop", "pad", "stretch"] = "crop"
    background: tuple[int, int, int] = (255, 255, 255)


class DecodedImage(NamedTuple):
    """An image and what its file says of it.

    Attributes:
        pixels_hwc: uint8, of the size in the options.
        height: of the image in its file, after its EXIF rotation.
        width: of the image in its file, after its EXIF rotation.
        decoder: one of `DECODERS`.
    """

    pixels_hwc: np.ndarray
    height: int
    width: int
    decoder: str


def decode_image(content: bytes | Path, options: ImageOptions | None) -> DecodedImage:
    """Decode an image and bring it to one size and number of channels.

    The first frame of an animation is used. The EXIF rotation is applied. Images of 16 bits lose their lower 8 bits.

    Args:
        content: the bytes of an image file, or its path.
        options: size, channels and background. None keeps the image's own size, with three channels.

    Raises:
        ImageError: the file is not an image of a known format, is damaged, or has too many or too few pixels.
    """
    with _opened(content) as image:
        width, height = image.size
        decoder = {"MPO": "JPEG"}.get(str(image.format), str(image.format))  # several JPEG images in one file
        try:
            if options is not None:
                side = 2 * max(options.height, options.width)
                # A JPEG is decoded at a half, quarter or eighth of its size where twice the wanted size is left.
                image.draft(None, (side, side))
            image.load()
            if _is_turned(image):
                height, width = width, height
            pixels_hwc = to_pixels(image, options or ImageOptions(height, width, 3))
        except MemoryError as error:
            raise ImageError(f"{height}x{width} pixels need more memory than there is") from error
        except DAMAGED as error:
            raise ImageError(f"damaged: {one_line(error)}") from error
    return DecodedImage(pixels_hwc, height, width, decoder)


def image_pixels(content: bytes) -> int:
    """The number of pixels of an image file, from its header alone.

    Raises:
        ImageError: the file is not an image of a known format, or its header is damaged.
    """
    with _opened(content) as image:
        return image.width * image.height


def require_size(height: int, width: int) -> None:
    """Refuse an image that is too small to show anything.

    Raises:
        ImageError: a side has less than `MIN_SIDE` pixels.
    """
    if min(height, width) < MIN_SIDE:
        raise ImageError(f"{height}x{width} pixels: too small")


def to_pixels(image: "Image", options: ImageOptions) -> np.ndarray:
    """The pixels (height, width, channels) of an image that Pillow has decoded. Its EXIF rotation is applied.

    Raises:
        ValueError: its pixels have 32 bits, which have no known range.
    """
    from PIL import ImageOps

    plain = _without_alpha(_eight_bits(ImageOps.exif_transpose(image)), options.background)
    return fit(plain.convert("L" if options.channels == 1 else "RGB"), options)


def fit(image: "Image", options: ImageOptions) -> np.ndarray:
    """The pixels (height, width, channels) of an image of the mode L or RGB, resized."""
    from PIL import Image, ImageOps

    size, method = (options.width, options.height), Image.Resampling.BICUBIC
    if image.size != size:
        if options.resize == "stretch":
            image = image.resize(size, method)
        elif options.resize == "crop":
            image = ImageOps.fit(image, size, method)
        else:
            colour = options.background if image.mode == "RGB" else grey_of(options.background)
            image = ImageOps.pad(image, size, method, color=colour)
    return np.asarray(image).reshape(options.height, options.width, options.channels)


def fit_array(pixels_hwc: np.ndarray, options: ImageOptions) -> np.ndarray:
    """The pixels (height, width, channels) of an image of one or three channels, uint8."""
    from PIL import Image

    image = Image.fromarray(pixels_hwc[..., 0] if pixels_hwc.shape[-1] == 1 else pixels_hwc)
    return fit(image.convert("L" if options.channels == 1 else "RGB"), options)


def colour_of(text: str) -> tuple[int, int, int]:
    """Red, green and blue of a name or #rrggbb, as `preprocess.background` has it."""
    from PIL import ImageColor

    return ImageColor.getrgb(text)[:3]


def grey_of(colour: tuple[int, int, int]) -> int:
    """The grey of a colour, as Pillow converts it (ITU-R BT.601)."""
    red, green, blue = colour
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16


@contextlib.contextmanager
def _opened(content: bytes | Path) -> Iterator["Image"]:
    """The image of a file, of which only the header has been read."""
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        # Our own limit comes first, and other warnings are about metadata.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(_bytes(content)), formats=DECODERS)
        except Image.DecompressionBombError as error:
            raise ImageError(f"more than {MAX_PIXELS:,} pixels") from error
        except UnidentifiedImageError as error:
            raise ImageError(f"not an image ({', '.join(DECODERS)})") from error
        except DAMAGED as error:
            raise ImageError(f"damaged: {one_line(error)}") from error
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(f"{image.height}x{image.width} pixels, more than {MAX_PIXELS:,}")
            require_size(image.height, image.width)
            yield image


def _bytes(content: bytes | Path) -> bytes:
    if isinstance(content, Path):
        try:
            content = read_plain_file(content, most=MAX_FILE_BYTES)
        except FileError as error:
            raise ImageError(str(error)) from error
    if not content:
        raise ImageError("empty")
    return content


def _is_turned(image: "Image") -> bool:
    """Whether the EXIF rotation of an image exchanges height and width.

    Its pixels must be loaded: of a PNG, Pillow loads them here, and a later `load` accepts one that is damaged.
    """
    if image.format == "TIFF":  # Pillow turns a TIFF itself
        return False
    try:
        return image.getexif().get(ORIENTATION) in QUARTER_TURNS
    except DAMAGED:
        return False


def _eight_bits(image: "Image") -> "Image":
    """The image with 8 bits a channel, and its palette resolved."""
    from PIL import Image

    if image.mode in SIXTEEN_BITS:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of 32 bits ({image.mode}) have no known range; save the image with 8 or 16 bits")
    if image.mode == "P" or "transparency" in image.info:
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image


def _without_alpha(image: "Image", background: tuple[int, int, int]) -> "Image":
    """The image on the background, where it has an alpha channel."""
    from PIL import Image

    if image.mode not in WITH_ALPHA:
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, (*background, 255)), layer)
