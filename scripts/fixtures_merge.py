#!/usr/bin/env python3
"""Makes the golden cases in test/fixtures/merge: truncations by numpy, and weights that PEFT merged.

    python scripts/fixtures_merge.py         # the same bytes every time; needs numpy, torch, transformers and peft

    truncation.json       factors a [R, in] and b [out, R], the singular values of b·a, and the relative error of each rank
    <model>.safetensors   weights of the model's adapted modules after merge_and_unload of its fixture's adapter
"""
import json
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

FIXTURES = Path('test/fixtures')
OUT = FIXTURES / 'merge'
MODELS = ['gpt2-long', 'llama-grouped', 'qwen3']


def truncation(outer, inner, rank, random, deficient=0):
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in [(rank, inner), (outer, rank)])
    if deficient:
        b[:, -deficient:] = b[:, :deficient]
    values = np.linalg.svd(b.astype(np.float64) @ a.astype(np.float64), compute_uv=False)
    errors = [float(np.sqrt((values[r:] ** 2).sum() / (values ** 2).sum())) for r in range(1, len(values) + 1)]
    return dict(out=outer, **{'in': inner}, rank=rank, a=a.ravel().tolist(), b=b.ravel().tolist(), values=values.tolist(), errors=errors)


def merged(name):
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(FIXTURES / name, dtype=torch.float32), FIXTURES / name / 'adapter')
    sites = {key.removeprefix('base_model.model.').removesuffix('.lora_A.default.weight') for key in model.state_dict() if '.lora_A.' in key}
    state = model.merge_and_unload().state_dict()
    save_file({f'{site}.weight': state[f'{site}.weight'].contiguous() for site in sorted(sites)}, OUT / f'{name}.safetensors')


def main():
    OUT.mkdir(exist_ok=True)
    random = np.random.default_rng(5)
    cases = [truncation(*shape, random) for shape in [(9, 7, 4), (5, 12, 5), (12, 3, 6), (1, 6, 2), (16, 16, 1)]]
    cases.append(truncation(8, 10, 6, random, deficient=2))
    (OUT / 'truncation.json').write_text(json.dumps(cases) + '\n')
    for name in MODELS:
        merged(name)


if __name__ == '__main__':
    main()
