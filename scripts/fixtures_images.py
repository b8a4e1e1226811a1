#!/usr/bin/env python3
"""Makes the images in test/fixtures/images, and what transformers' image processors make of them.

    python scripts/fixtures_images.py         # writes all of test/fixtures/images, the same bytes every time

needs numpy, pillow, torch, safetensors and transformers; no internet.

    files/NAME.png, NAME.jpg     small images of every kind that there is
    cases.json                   name, file, what the model takes, and the preprocessor_config.json
    expected.safetensors         by name: pixel values, [channels, height, width]; of large images every 32nd row and column

Images are turned as EXIF says before they are processed, as transformers' `load_image` does. The numbers are those of the
classes that compute with PIL.
"""
import json
import shutil
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import transformers
from PIL import Image, ImageOps
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent.parent / 'test' / 'fixtures' / 'images'
HEIGHT, WIDTH = 11, 14
COLOURS = dict(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3])
AS_IT_IS = dict(do_resize=False, **COLOURS)
GREY = dict(do_resize=False, image_mean=[0.3], image_std=[0.4])

# name, file, class, settings, channels, height and width that the model takes
PROCESSORS = [
    ('defaults-vit', 'photo.png', 'ViT', dict(), 3, 224, 224),
    ('small-vit', 'photo.png', 'ViT', dict(size=dict(height=16, width=16)), 3, 16, 16),
    ('nearest', 'photo.png', 'ViT', dict(size=dict(height=17, width=9), resample=0), 3, 17, 9),
    ('bilinear', 'photo.png', 'ViT', dict(size=dict(height=9, width=17), resample=2, **COLOURS), 3, 9, 17),
    ('bicubic', 'photo.png', 'ViT', dict(size=dict(height=9, width=17), resample=3, **COLOURS), 3, 9, 17),
    ('bilinear-larger', 'rgb.png', 'ViT', dict(size=dict(height=29, width=31), resample=2), 3, 29, 31),
    ('bicubic-larger', 'rgb.png', 'ViT', dict(size=dict(height=29, width=31), resample=3), 3, 29, 31),
    ('grey-resized', 'photo.png', 'ViT', dict(size=dict(height=12, width=12), image_mean=[0.5], image_std=[0.5]), 1, 12, 12),
    ('clip', 'photo.png', 'CLIP', dict(size=dict(shortest_edge=20), crop_size=dict(height=18, width=18)), 3, 18, 18),
    ('clip-tall', 'tall.jpg', 'CLIP', dict(size=dict(shortest_edge=20), crop_size=dict(height=20, width=20)), 3, 20, 20),
    ('clip-number', 'photo.png', 'CLIP', dict(size=15, crop_size=15), 3, 15, 15),
    ('bit', 'tall.jpg', 'Bit', dict(size=dict(shortest_edge=16), crop_size=dict(height=13, width=15)), 3, 13, 15),
    ('deit', 'photo.png', 'DeiT', dict(size=dict(height=21, width=21), crop_size=dict(height=16, width=16)), 3, 16, 16),
    ('siglip', 'photo.png', 'Siglip', dict(size=dict(height=16, width=16)), 3, 16, 16),
    ('convnext-cropped', 'photo.png', 'ConvNext', dict(size=dict(shortest_edge=16), crop_pct=0.875), 3, 16, 16),
    ('convnext-warped', 'rgb.png', 'ConvNext', dict(size=dict(shortest_edge=384), do_normalize=False, do_rescale=False, resample=0), 3, 384, 384),
    ('crop-larger-than-image', 'rgb.png', 'DeiT', dict(do_resize=False, crop_size=dict(height=17, width=20)), 3, 17, 20),
    ('crop-wider-only', 'rgb.png', 'DeiT', dict(do_resize=False, crop_size=dict(height=8, width=18)), 3, 8, 18),
    ('without-rescale', 'rgb.png', 'ViT', dict(do_resize=False, do_rescale=False, image_mean=[100, 120, 140], image_std=[50, 60, 70]), 3, HEIGHT, WIDTH),
    ('without-normalize', 'rgb.png', 'ViT', dict(do_resize=False, do_normalize=False), 3, HEIGHT, WIDTH),
    ('values-only', 'rgb.png', 'ViT', dict(do_resize=False, do_normalize=False, do_rescale=False), 3, HEIGHT, WIDTH),
    ('other-factor', 'rgb.png', 'ViT', dict(do_resize=False, rescale_factor=1 / 127.5, image_mean=[1, 1, 1], image_std=[1, 1, 1]), 3, HEIGHT, WIDTH),
    ('one-pixel', 'one-pixel.png', 'ViT', dict(size=dict(height=3, width=5)), 3, 3, 5),
    ('thin', 'thin.png', 'CLIP', dict(size=dict(shortest_edge=6), crop_size=dict(height=6, width=6)), 3, 6, 6),
]


def picture(random, height, width, channels):
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 100 * np.sin(x / (2 + k) + k) * np.cos(y / (4 - k / 2) + k) + random.normal(0, 12, (height, width)) for k in range(channels)]
    return np.stack(waves, -1).clip(0, 255).astype(np.uint8)


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def write_png16(path, values, colour_type):
    """PIL writes no 16 bits of colour."""
    height, width = values.shape[:2]
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in values)
    header = struct.pack('>IIBBBBB', width, height, 16, colour_type, 0, 0, 0)
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))


def write_files(folder):
    random = np.random.default_rng(0)
    rgb = Image.fromarray(picture(random, HEIGHT, WIDTH, 3))
    grey = Image.fromarray(picture(random, HEIGHT, WIDTH, 1)[..., 0])
    palette = rgb.quantize(16)
    Image.fromarray(picture(random, 33, 47, 3)).save(folder / 'photo.png')
    Image.fromarray(picture(random, 51, 38, 3)).save(folder / 'tall.jpg', quality=80)
    Image.fromarray(picture(random, 1, 1, 3)).save(folder / 'one-pixel.png')
    Image.fromarray(picture(random, 40, 2, 3)).save(folder / 'thin.png')
    rgb.save(folder / 'rgb.png')
    Image.fromarray(picture(random, HEIGHT, WIDTH, 4), 'RGBA').save(folder / 'alpha.png')
    Image.fromarray(picture(random, HEIGHT, WIDTH, 2), 'LA').save(folder / 'grey-alpha.png')
    grey.save(folder / 'grey.png')
    grey.convert('1').save(folder / 'one-bit.png')
    palette.save(folder / 'palette.png')
    rgb.quantize(4).save(folder / 'palette-2-bit.png', bits=2)
    palette.save(folder / 'palette-transparent.png', transparency=bytes(range(0, 256, 16)))
    rgb.save(folder / 'transparent-colour.png', transparency=rgb.getpixel((3, 3)))
    write_png16(folder / 'rgb-16-bit.png', random.integers(0, 2 ** 16, (HEIGHT, WIDTH, 3)), 2)
    write_png16(folder / 'alpha-16-bit.png', random.integers(0, 2 ** 16, (HEIGHT, WIDTH, 4)), 6)
    write_png16(folder / 'grey-16-bit.png', random.integers(0, 2 ** 16, (HEIGHT, WIDTH)), 0)
    plain = (folder / 'rgb.png').read_bytes()
    (folder / 'gamma.png').write_bytes(plain[:33] + chunk(b'gAMA', struct.pack('>I', 100_000)) + plain[33:])
    for name, subsampling in (('444', 0), ('422', 1), ('420', 2)):
        rgb.save(folder / f'rgb-{name}.jpg', quality=85, subsampling=subsampling)
    rgb.save(folder / 'progressive.jpg', quality=85, progressive=True)
    rgb.convert('CMYK').save(folder / 'cmyk.jpg', quality=90)
    grey.save(folder / 'grey.jpg', quality=85)
    for orientation in range(1, 9):
        rgb.save(folder / f'turned-{orientation}.jpg', quality=85, exif=exif_of(orientation))
    rgb.save(folder / 'turned-6.png', exif=exif_of(6))


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def load(path, channels):
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode == 'I;16':  # PIL cuts off what is more than 255; of colours it takes the upper 8 bits, as we do of both
        image = Image.fromarray((np.array(image) >> 8).astype(np.uint8))
    return image.convert('L' if channels == 1 else 'RGB')


def main():
    warnings.simplefilter('ignore')
    shutil.rmtree(FOLDER, ignore_errors=True)
    files = FOLDER / 'files'
    files.mkdir(parents=True)
    write_files(files)
    cases = list(PROCESSORS)
    for path in sorted(files.iterdir()):
        width, height = load(path, 3).size
        if (height, width) in ((HEIGHT, WIDTH), (WIDTH, HEIGHT)):
            cases.append((f'rgb of {path.name}', path.name, 'ViT', AS_IT_IS, 3, height, width))
            cases.append((f'grey of {path.name}', path.name, 'ViT', GREY, 1, height, width))
    listed, expected = [], {}
    for name, file, kind, settings, channels, height, width in cases:
        processor = getattr(transformers, f'{kind}ImageProcessorPil')(**settings)
        image = load(files / file, channels)
        values = np.asarray(processor(image, do_convert_rgb=False, return_tensors='np')['pixel_values'][0], dtype=np.float32)
        assert values.shape == (channels, height, width), (name, values.shape)
        step = 32 if height > 100 else 1
        expected[name] = np.ascontiguousarray(values[:, ::step, ::step])
        takes = dict(channels=channels, height=height, width=width)
        listed.append(dict(name=name, file=file, takes=takes, config=processor.to_dict()))
    save_file(expected, FOLDER / 'expected.safetensors')
    (FOLDER / 'cases.json').write_text('[\n' + ',\n'.join(json.dumps(case) for case in listed) + '\n]\n')


if __name__ == '__main__':
    main()
