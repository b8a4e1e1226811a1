#!/usr/bin/env python3
"""Stays running and does one training step's forward and backward pass a line of standard input, with PyTorch and PEFT.

    python scripts/bench/peft_step.py MODEL_FOLDER BATCH.safetensors --attention sdpa --threads 2

LoRA of rank 8 on c_attn, gradients of its parameters, no optimiser. With several adapters each has an equal share of the
rows, and they take turns. Answers each line with one of JSON: milliseconds
and loss. Needs torch, transformers and peft.
"""
import argparse
import json
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument('model')
parser.add_argument('batch', help='safetensors with input_ids and labels, without padding')
parser.add_argument('--attention', default='sdpa', choices=['sdpa', 'eager'])
parser.add_argument('--threads', type=int, default=2)
parser.add_argument('--rank', type=int, default=8)
parser.add_argument('--adapters', type=int, default=1)
arguments = parser.parse_args()

import peft
import torch
import transformers
from safetensors.torch import load_file

answers = sys.stdout
sys.stdout = sys.stderr  # libraries print there


def say(answer):
    print(json.dumps(answer), file=answers, flush=True)


torch.manual_seed(0)
torch.set_num_threads(arguments.threads)
transformers.logging.set_verbosity_error()

base = transformers.GPT2LMHeadModel.from_pretrained(arguments.model, dtype=torch.float32, attn_implementation=arguments.attention)
lora = peft.LoraConfig(r=arguments.rank, lora_alpha=arguments.rank, target_modules=['c_attn'], lora_dropout=0.0, fan_in_fan_out=True)
model = peft.get_peft_model(base, lora)  # its adapter is called default
names = ['default'] + [f'user{k}' for k in range(1, arguments.adapters)]
for name in names[1:]:
    model.add_adapter(name, lora)
model.config.use_cache = False
model.train()

batch = load_file(arguments.batch)
input_ids = batch['input_ids'].long()
labels = batch['labels'].long()

say({'torch': torch.__version__, 'peft': peft.__version__, 'threads': torch.get_num_threads()})

for line in sys.stdin:
    began = time.perf_counter()
    model.zero_grad(set_to_none=True)
    loss = 0.0
    for name, ids, own in zip(names, input_ids.chunk(len(names)), labels.chunk(len(names))):
        if len(names) > 1:
            model.set_adapter(name)
        part = model(input_ids=ids, labels=own, use_cache=False).loss  # no mask: there is no padding, and it costs time
        part.backward()
        loss += part.item() / len(names)
    milliseconds = 1000 * (time.perf_counter() - began)
    say({'milliseconds': milliseconds, 'loss': loss})
