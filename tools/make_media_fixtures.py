#!/usr/bin/python3
"""Writes tests/data/media: pictures in every format variant, and what Pillow and NumPy make of them.

Debian's python3-pil and python3-numpy suffice. Deterministic: a second run writes the same bytes (given the
same Pillow and libjpeg). The PNG variants are written by hand here, since Pillow writes few of them; the
expected pixels are Pillow's reading (16-bit grey excepted, see src/media/image.h).
"""
import io
import math
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/media"
RNG = np.random.default_rng(20240611)
FILTERS = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]  # Pillow's numbers 0..5
SIZES = [(9, 6), (46, 35), (23, 5), (7, 17), (1, 1), (40, 3)]              # width, height


def save(name, array):
    np.save(OUT / f"{name}.npy", np.ascontiguousarray(array))


# ---- pictures ------------------------------------------------------------------------------------

def picture(width, height):
    """Smooth colours with noise: both low and high frequencies."""
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([255 * x / width, 255 * y / height, 127 + 120 * np.sin(x / 3 + y / 5)], -1)
    return np.clip(smooth + RNG.normal(0, 25, smooth.shape), 0, 255).astype(np.uint8)


def pattern(width, height):
    """The test programs compute the same one (see test_resize.c)."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return ((x * x + 3 * y * y + 7 * x * y // 5 + 50 * c) >> 3).astype(np.uint8)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def resizing():
    source = picture(23, 17)
    save("picture", source)
    for number, name in enumerate(FILTERS):
        results = [np.asarray(Image.fromarray(source).resize(size, number)) for size in SIZES]
        save(f"resized_{name}", np.concatenate([r.ravel() for r in results]))
    large = Image.fromarray(pattern(451, 300))
    with open(OUT / "resized_large.txt", "w") as file:
        for name, size in [("bilinear", (384, 256)), ("bicubic", (224, 224)), ("box", (100, 99)),
                           ("bicubic", (902, 641)), ("bilinear", (33, 700)), ("nearest", (224, 113))]:
            result = large.resize(size, FILTERS.index(name)).tobytes()
            print(name, *size, f"{fnv1a(result):016x}", file=file)


# ---- PNG, by hand --------------------------------------------------------------------------------

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rows(samples, depth):
    """(H,W,channels) samples -> filtered rows (filter 0)."""
    out = b""
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        elif depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            bits = (row[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            packed = np.packbits(bits.astype(np.uint8).ravel()).tobytes()
        out += b"\0" + packed
    return out


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, colour, depth, extra=b"", interlace=False):
    height, width = samples.shape[:2]
    if interlace:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        data = b"".join(rows(p, depth) for p in passes if p.size)
    else:
        data = rows(samples, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlace))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data, 9)) +
            chunk(b"IEND", b""))


def exif(orientation, order):
    """A TIFF directory with two entries; the first one is there to be skipped."""
    e = "<" if order == b"II" else ">"
    entries = struct.pack(e + "HHII", 0x0110, 2, 4, 0x41424300) + struct.pack(e + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return order + struct.pack(e + "HI", 42, 8) + struct.pack(e + "H", 2) + entries + struct.pack(e + "I", 0)


def png_variants():
    height, width = 9, 13
    noise = lambda channels, depth: RNG.integers(0, 1 << depth, (height, width, channels))
    palette = chunk(b"PLTE", RNG.integers(0, 256, 48, dtype=np.uint8).tobytes())
    two_colours = chunk(b"PLTE", bytes([200, 30, 40, 10, 220, 250]))
    variants = {
        "grey1": png(noise(1, 1), 0, 1), "grey2": png(noise(1, 2), 0, 2), "grey4": png(noise(1, 4), 0, 4),
        "grey8": png(noise(1, 8), 0, 8), "grey16": png(noise(1, 16), 0, 16),
        "rgb8": png(noise(3, 8), 2, 8), "rgb16": png(noise(3, 16), 2, 16),
        "rgb8_trns": png(noise(3, 8), 2, 8, chunk(b"tRNS", bytes(6))),
        "palette1": png(noise(1, 1), 3, 1, two_colours), "palette4": png(noise(1, 4), 3, 4, palette),
        "palette8_trns": png(noise(1, 4), 3, 8, palette + chunk(b"tRNS", bytes(range(16)))),
        "grey_alpha8": png(noise(2, 8), 4, 8), "grey_alpha16": png(noise(2, 16), 4, 16),
        "rgba8": png(noise(4, 8), 6, 8), "rgba16": png(noise(4, 16), 6, 16),
        "rgb8_interlaced": png(noise(3, 8), 2, 8, interlace=True),
        "palette4_interlaced": png(noise(1, 4), 3, 4, palette, interlace=True),
        "grey1_interlaced": png(noise(1, 1), 0, 1, interlace=True),
    }
    expected = []
    for name, data in variants.items():
        (OUT / f"{name}.png").write_bytes(data)
        image = Image.open(io.BytesIO(data))
        if name == "grey16":
            high = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
            expected.append(np.repeat(high[..., None], 3, -1))
        else:
            expected.append(np.asarray(image.convert("RGB")))
    save("png_expected", np.stack(expected))
    upright = noise(3, 8)
    (OUT / "exif6.png").write_bytes(png(upright, 2, 8, chunk(b"eXIf", exif(6, b"MM"))))
    save("exif6_png_expected", np.rot90(upright, -1).astype(np.uint8))


# ---- JPEG ----------------------------------------------------------------------------------------

def jpeg_variants():
    source = Image.fromarray(picture(24, 16))
    variants = {
        "rgb444": dict(quality=92, subsampling=0), "rgb420": dict(quality=75, subsampling=2),
        "progressive": dict(quality=85, progressive=True), "grey": dict(quality=85),
        "cmyk": dict(quality=90), "rgb422": dict(quality=80, subsampling=1),
    }
    expected = []
    for name, options in variants.items():
        image = {"grey": source.convert("L"), "cmyk": source.convert("CMYK")}.get(name, source)
        image.save(OUT / f"{name}.jpg", **options)
        expected.append(np.asarray(Image.open(OUT / f"{name}.jpg").convert("RGB")))
    save("jpeg_expected", np.stack(expected))
    turned = []
    for orientation in range(1, 9):
        block = b"Exif\0\0" + exif(orientation, [b"II", b"MM"][orientation % 2])
        source.save(OUT / f"exif{orientation}.jpg", quality=90, exif=block)
        image = ImageOps.exif_transpose(Image.open(OUT / f"exif{orientation}.jpg"))
        turned.append(np.asarray(image).ravel())
    save("exif_expected", np.stack(turned))


# ---- preprocessing -------------------------------------------------------------------------------

def shortest(image, edge, resample):
    width, height = image.size
    if width <= height:
        return image.resize((edge, edge * height // width), resample)
    return image.resize((edge * width // height, edge), resample)


def crop(image, side, half_even):
    width, height = image.size
    offset = (lambda d: round(d / 2)) if half_even else (lambda d: d // 2)
    left, top = offset(width - side), offset(height - side)
    return image.crop((left, top, left + side, top + side))


def normalised(image, scale, mean, std):
    x = (np.asarray(image).astype(np.float64) * scale - np.array(mean)) / np.array(std)
    return x.transpose(2, 0, 1)[None].astype(np.float32)


def preprocessing():
    image = Image.fromarray(picture(61, 47))
    image.save(OUT / "scene.png")
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    save("pre_imagenet", normalised(crop(shortest(image, 36, 2), 32, True), 1 / 255, *imagenet))
    save("pre_odd", normalised(crop(shortest(image, 34, 2), 29, True), 1 / 255, *imagenet))  # 15 and 5 to spare
    caffe = np.asarray(crop(shortest(image, 36, 2), 32, True))[..., ::-1]
    save("pre_caffe", normalised(caffe, 1, (104, 117, 123), (1, 1, 1)))
    save("pre_vit", normalised(image.resize((20, 20), 3), 1 / 255, (0.5,) * 3, (0.5,) * 3))
    save("pre_tf", normalised(image.resize((24, 18), 2), 1 / 127.5, (1,) * 3, (1,) * 3))
    save("pre_clip", normalised(crop(shortest(image, 24, 3), 21, False), 0.00392156862745098, *imagenet))
    grey = np.asarray(image.convert("L").resize((28, 28), 2)).astype(np.float64) / 255
    save("pre_grey", grey[None, None].astype(np.float32))


# ---- signal --------------------------------------------------------------------------------------

def upsample_axis(x, n, axis):
    """Half-pixel linear interpolation, border repeated."""
    m = x.shape[axis]
    p = np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1)
    lo = np.floor(p).astype(int)
    t = (p - lo).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return np.take(x, lo, axis) * (1 - t) + np.take(x, np.minimum(lo + 1, m - 1), axis) * t


def gaussian(x, sigma, mode):
    for axis, s in enumerate(sigma):
        radius = int(4 * s + 0.5)
        k = np.exp(-0.5 * (np.arange(-radius, radius + 1) / s) ** 2)
        k /= k.sum()
        padded = np.pad(x, [(radius, radius) if a == axis else (0, 0) for a in range(x.ndim)], mode=mode)
        x = np.apply_along_axis(np.convolve, axis, padded, k, "valid")
    return x


def ranks(v):
    return np.array([(v < a).sum() + ((v == a).sum() + 1) / 2 for a in v])


def signals():
    for shape, target in [((7,), (16,)), ((5, 4), (13, 9)), ((3, 4, 2), (7, 5, 6)), ((9, 8), (4, 3))]:
        x = RNG.normal(size=shape).astype(np.float32)
        y = x.astype(np.float64)
        for axis, n in enumerate(target):
            y = upsample_axis(y, n, axis)
        name = f"linear_{'x'.join(map(str, shape))}"
        save(name, x)
        save(name + "_expected", y.astype(np.float32))
    x = RNG.normal(size=(9, 7)).astype(np.float32)
    save("blur", x)
    modes = ["symmetric", "reflect", "edge", "wrap", "constant"]  # scipy: reflect, mirror, nearest, wrap, constant
    save("blur_expected", np.stack([gaussian(x.astype(np.float64), (1.3, 0.6), m) for m in modes]).astype(np.float32))
    save("blur_wide_expected", gaussian(x.astype(np.float64), (5.0, 4.0), "symmetric").astype(np.float32))
    v = RNG.normal(size=501).astype(np.float32)
    w = np.round(v + RNG.normal(size=501), 1).astype(np.float32)  # rounded: many ties
    save("stats", np.stack([v, w]))
    q = [0, 1, 5, 37.5, 50, 99, 99.9, 100]
    rho = np.corrcoef(ranks(v), ranks(w))[0, 1]
    save("stats_expected", np.concatenate([np.percentile(v.astype(np.float64), q), np.percentile(w.astype(np.float64), q), [rho]]))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (resizing, png_variants, jpeg_variants, preprocessing, signals):
        make()
    print(f"{OUT}: {sum(f.stat().st_size for f in OUT.iterdir())} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
