#!/usr/bin/env python3
"""Pre-trains the embedded base model, models/tiny, on text that `npm ci` brings.

The corpus is the sources and the documentation of the installed packages. Kinds of text are left out on purpose, so that
there is text to fine-tune on of a kind that the base model has never seen: type declarations (*.d.ts), readmes,
licences, minified files. Files are told apart by hash, about 2 % of them are held out.

    python scripts/pretrain.py --minutes 40

needs torch, transformers, tokenizers and safetensors. Given the same node_modules the corpus and the tokenizer are
the same to the byte; the weights depend on how many steps the machine makes in the given time.
"""
import argparse
import hashlib
import json
import math
import os
import re
import shutil
import time
from datetime import date
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

END = '<|endoftext|>'
SOURCES = ('.js', '.mjs', '.cjs', '.ts', '.mts', '.cts')
LEFT_OUT = re.compile(r'(\.d\.[cm]?ts$|\.min\.|^readme|^licen[cs]e|^notice|^copying)', re.IGNORECASE)
MAX_FILE_BYTES = 300_000       # larger files are bundles or tables
FILE_SHARE_BYTES = 48_000      # what one file may add
PACKAGE_SHARE_BYTES = 1_200_000  # what one package may add
HELD_OUT_SHARE = 0.02


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--modules', type=Path, default=Path('node_modules'), help='where the packages lie')
    parser.add_argument('--out', type=Path, default=Path('models/tiny'), help='the model folder to write')
    parser.add_argument('--minutes', type=float, default=40, help='how long to train, in minutes')
    parser.add_argument('--threads', type=int, default=2, help='CPU threads')
    parser.add_argument('--batch', type=int, default=16, help='rows of --length tokens in a step')
    parser.add_argument('--length', type=int, default=256, help='tokens in a row, and the positions of the model')
    parser.add_argument('--vocabulary', type=int, default=4096, help='tokens in the vocabulary')
    parser.add_argument('--rate', type=float, default=2e-3, help='peak learning rate')
    parser.add_argument('--seed', type=int, default=0, help='seed of the start and of the order')
    return parser.parse_args()


def package_of(path):
    """@scope/name or name, of a path relative to node_modules."""
    parts = path.parts
    return '/'.join(parts[:2]) if parts[0].startswith('@') else parts[0]


def wanted(path):
    return path.suffix in SOURCES + ('.md',) and not LEFT_OUT.search(path.name)


def read_text(path):
    """The file's text, or None where it is no text that a person wrote."""
    if path.stat().st_size > MAX_FILE_BYTES:
        return None
    try:
        text = path.read_text('utf-8')
    except UnicodeDecodeError:
        return None
    lines = text.splitlines()
    if not lines or len(text) / len(lines) > 120 or max(map(len, lines)) > 2000:
        return None
    return text


def corpus(modules):
    """(train, held out, packages): texts in the order of their paths, each once."""
    train, held_out, seen, share = [], [], set(), {}
    for path in sorted(p.relative_to(modules) for p in modules.rglob('*') if p.is_file() and not p.is_symlink()):
        if not wanted(path) or path.parts[0].startswith('.'):
            continue
        text = read_text(modules / path)
        if text is None or (digest := hashlib.sha256(text.encode()).digest()) in seen:
            continue
        seen.add(digest)
        package = package_of(path)
        text = text[:min(FILE_SHARE_BYTES, PACKAGE_SHARE_BYTES - share.get(package, 0))]
        if not text:
            continue
        share[package] = share.get(package, 0) + len(text)
        key = int.from_bytes(hashlib.sha256(str(path).encode()).digest()[:4], 'big') / 2**32
        (held_out if key < HELD_OUT_SHARE else train).append(text)
    return train, held_out, len(share)


def train_tokenizer(texts, vocabulary):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=[END],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, unk_token=END)


def encode(tokenizer, texts):
    """All texts as one row of tokens, END after each."""
    end = tokenizer.eos_token_id
    rows = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
    return torch.tensor([token for row in rows for token in (*row.ids, end)], dtype=torch.long)


@torch.no_grad()
def held_out_loss(model, tokens, length):
    """Mean loss in nats per token over non-overlapping rows."""
    model.eval()
    rows = tokens[:len(tokens) // length * length].view(-1, length)
    total = sum(model(part, labels=part).loss.item() * len(part) for part in rows.split(32))
    model.train()
    return total / len(rows)


def rate_at(share, peak):
    """Linear warm-up over 2 % of the time, then a cosine down to a twentieth."""
    if share < 0.02:
        return peak * max(share, 1e-4) / 0.02
    return peak * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (share - 0.02) / 0.98)))


def pretrain(model, tokens, held_out, args):
    """Trains until the time is over. Returns the number of steps."""
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{'params': decay, 'weight_decay': 0.1}, {'params': rest, 'weight_decay': 0}],
                                  lr=args.rate, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(args.seed)
    begin, told, mean, step = time.monotonic(), 0, 0.0, 0
    budget = args.minutes * 60
    while (elapsed := time.monotonic() - begin) < budget:
        for group in optimizer.param_groups:
            group['lr'] = rate_at(elapsed / budget, args.rate)
        starts = torch.randint(len(tokens) - args.length, (args.batch,), generator=generator)
        rows = torch.stack([tokens[start:start + args.length] for start in starts.tolist()])
        loss = model(rows, labels=rows).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        step += 1
        mean = loss.item() if step == 1 else 0.98 * mean + 0.02 * loss.item()
        if elapsed - told > 15:
            told = elapsed
            print(f'{elapsed / 60:5.1f} of {args.minutes:g} min  step {step}  loss {mean:.3f}  '
                  f'{step * args.batch * args.length / elapsed:.0f} tokens/s', flush=True)
    return step


def save(folder, model, tokenizer, card):
    """Writes beside the folder, then renames: never a half model."""
    partial = folder.with_name(folder.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    model.half().save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    (partial / 'README.md').write_text(card)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


CARD = '''---
license: mit
language: [en, code]
library_name: transformers
pipeline_tag: text-generation
tags: [gpt2, colanet]
---

# tiny

The base model that comes with ColaNet, so that everything can be tried without a download. It is a GPT-2 of
{parameters:,} parameters ({layers} layers, {heads} heads, width {width}, {positions} positions) with a byte-level BPE of
{vocabulary} tokens, in float16 safetensors.

It is for trying out fine-tuning, not for answering questions.

## Training

| | |
| --- | --- |
| text | sources and documentation of the {packages} npm packages that `npm ci` installed, {megabytes:.1f} MB in {files:,} files |
| left out on purpose | type declarations (`*.d.ts`), readmes, licences, minified and generated files, so that there is text to fine-tune on (`colanet simulate`) |
| limits | {file_share} KB of one file, {package_share} KB of one package, each text once |
| tokens in the text | {tokens:,} |
| tokens trained on | {trained:,} ({steps:,} steps of {batch} × {length}) |
| time | {minutes:g} minutes on {threads} shared CPU threads, {day} |
| optimiser | AdamW (0.9, 0.95), weight decay 0.1, peak rate {rate:g}, cosine, clipped at 1 |

## Held out

{held_files} files ({held_kilobytes:.0f} KB), told apart by the hash of their path; measured on the float16 weights as saved.

| | |
| --- | --- |
| loss, nats per token | {loss:.4f} |
| **bits per byte** | **{bits:.4f}** |

## Making it again

    python scripts/pretrain.py --minutes {minutes:g}

No text of the packages is part of this repository. They are published under open licences (MIT, Apache-2.0, BSD, ISC).
'''


def main():
    args = arguments()
    os.environ['TOKENIZERS_PARALLELISM'] = 'false'
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    train, held_out, packages = corpus(args.modules)
    size = sum(len(text.encode()) for text in train)
    print(f'{len(train)} files, {size / 1e6:.1f} MB of {packages} packages; {len(held_out)} held out', flush=True)
    tokenizer = train_tokenizer(train, args.vocabulary)
    tokens, held = encode(tokenizer, train), encode(tokenizer, held_out)
    print(f'{len(tokens):,} tokens, {len(held):,} held out', flush=True)
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=args.vocabulary, n_positions=args.length, n_embd=128, n_layer=6, n_head=4, resid_pdrop=0,
        embd_pdrop=0, attn_pdrop=0, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id))
    steps = pretrain(model, tokens, held, args)
    loss = held_out_loss(model.half().float(), held, args.length)
    held_bytes = sum(len(text.encode()) for text in held_out)
    bits = loss * len(held) / math.log(2) / held_bytes
    card = CARD.format(
        parameters=model.num_parameters(), layers=model.config.n_layer, heads=model.config.n_head,
        width=model.config.n_embd, positions=args.length, vocabulary=args.vocabulary, packages=packages,
        megabytes=size / 1e6, files=len(train), file_share=FILE_SHARE_BYTES // 1000,
        package_share=PACKAGE_SHARE_BYTES // 1000, tokens=len(tokens), trained=steps * args.batch * args.length,
        steps=steps, batch=args.batch, length=args.length, minutes=args.minutes, threads=args.threads,
        day=date.today().isoformat(), rate=args.rate, held_files=len(held_out), held_kilobytes=held_bytes / 1000,
        loss=loss, bits=bits)
    save(args.out, model, tokenizer, card)
    print(json.dumps({'loss': loss, 'bitsPerByte': bits, 'steps': steps, 'out': str(args.out)}))


if __name__ == '__main__':
    main()
