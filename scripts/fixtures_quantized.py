#!/usr/bin/env python3
"""Makes test/fixtures/quantized: what matrices become in 8 and 4 bits, by the formulas of the papers in numpy.

    python scripts/fixtures_quantized.py     # the same bytes every time; needs numpy and safetensors

cases.safetensors has of each case, row-major:

    CASE.values          float32, the matrix
    CASE.KIND.codes      int32, one a byte as it lies in a file, whole blocks
    CASE.KIND.scales     float32, one a block
    CASE.KIND.values     float32, what they stand for

nf4.json has the 16 values of QLoRA (arXiv 2305.14314, appendix E), which are checked against its equation 4.
"""
import json
from pathlib import Path
from statistics import NormalDist

import numpy as np
from safetensors.numpy import save_file

OUT = Path(__file__).parent.parent / 'test' / 'fixtures' / 'quantized'
BLOCK = 64

NF4 = np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495,
    0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0], np.float32)

# The quantile at which the outermost value stands: the mean of 1 - 1/30 and 1 - 1/32, as in bitsandbytes
OFFSET = (1 - 1 / 30 + 1 - 1 / 32) / 2


def from_quantiles():
    """Eight values above zero, seven below, and zero, of a normal distribution, scaled so that the largest is 1."""
    def quantiles(count):
        return [NormalDist().inv_cdf(p) for p in np.linspace(OFFSET, 0.5, count + 1)[:-1]]
    values = np.array(sorted([*quantiles(8), 0.0, *(-q for q in quantiles(7))]))
    return values / values.max()


def blocks_of(values):
    flat = values.reshape(-1)
    return np.pad(flat, (0, -flat.size % BLOCK)).reshape(-1, BLOCK)  # [blocks, 64]


def int8(values):
    blocks = blocks_of(values)
    scales = (np.abs(blocks).max(1) / np.float32(127)).astype(np.float32)
    with np.errstate(divide='ignore', invalid='ignore'):
        steps = np.where(scales[:, None] > 0, blocks / scales[:, None], np.float32(0))
    codes = np.clip(np.rint(steps), -127, 127).astype(np.int8)
    return codes.view(np.uint8).reshape(-1), scales, codes.astype(np.float32) * scales[:, None]


def nf4(values):
    blocks = blocks_of(values)
    scales = np.abs(blocks).max(1)
    with np.errstate(divide='ignore', invalid='ignore'):
        normalised = np.where(scales[:, None] > 0, blocks / scales[:, None], np.float32(0))
    codes = np.abs(normalised[..., None].astype(np.float64) - NF4.astype(np.float64)).argmin(-1)  # [blocks, 64]
    pairs = codes.reshape(-1, 2)
    return (pairs[:, 0] << 4 | pairs[:, 1]).astype(np.uint8), scales, NF4[codes] * scales[:, None]


def cases(rng):
    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)
    yield 'whole_blocks', normal(8, 128) * 0.02
    yield 'rows_across_blocks', normal(6, 100)
    yield 'one_over', normal(5, 13)
    yield 'one_short', normal(7, 9)
    yield 'single', np.array([[-0.3]], np.float32)
    yield 'column', normal(130, 1)
    zeros = normal(4, 64)
    zeros[1] = 0
    yield 'block_of_zeros', zeros
    yield 'all_zeros', np.zeros((3, 30), np.float32)
    yield 'scales_apart', normal(10, 64) * (10.0 ** np.arange(-35, 35, 7))[:, None].astype(np.float32)
    tiny = normal(2, 64)
    tiny *= np.float32(2e-43)  # subnormal: too small for a step of int8, or with few bits of it
    yield 'subnormal', np.vstack([tiny, np.full((1, 64), 1.4e-45, np.float32)])
    yield 'on_the_grid', (np.tile(NF4, (3, 4)) * np.array([[1], [0.25], [3]], np.float32)).astype(np.float32)
    halves = np.arange(-32, 32, dtype=np.float32) + np.float32(0.5)
    yield 'between_steps', np.vstack([np.where(np.arange(64) == 0, np.float32(127), halves)])
    yield 'heavy_tails', rng.standard_cauchy((9, 77)).astype(np.float32)


def main():
    assert np.abs(from_quantiles() - NF4).max() < 1e-6
    tensors = {}
    for name, values in cases(np.random.default_rng(1)):
        tensors[f'{name}.values'] = values
        for kind, quantise in (('int8', int8), ('nf4', nf4)):
            codes, scales, back = quantise(values)
            tensors[f'{name}.{kind}.codes'] = codes.astype(np.int32)
            tensors[f'{name}.{kind}.scales'] = scales.astype(np.float32)
            tensors[f'{name}.{kind}.values'] = back.reshape(-1)[:values.size].reshape(values.shape).astype(np.float32)
    OUT.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, OUT / 'cases.safetensors')
    (OUT / 'nf4.json').write_text(json.dumps([float(value) for value in NF4]) + '\n')


if __name__ == '__main__':
    main()
