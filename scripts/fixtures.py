#!/usr/bin/env python3
"""Makes the golden cases in test/fixtures from PyTorch, transformers and PEFT.

    python scripts/fixtures.py                # writes all of test/fixtures, the same bytes every time
    python scripts/fixtures.py check-adapter --model DIR --adapter DIR --batch FILE
                                              # loads an adapter that we wrote with PEFT and prints its loss as JSON

needs torch, transformers, peft and safetensors.

Cases of models that continue text are here, all others in fixtures_tasks.py.

transformers numbers positions from 0 in every row, padded or not, and its eager attention gives a row that may look at
nothing (left padding) the same weight everywhere. We do as it does, at padding too.
"""
import argparse
import json
import math
import os
import shutil
import sys
import warnings
from pathlib import Path

import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, get_linear_schedule_with_warmup

import fixtures_tasks
from fixtures_golden import load, make_golden, random_rows, stir, write

CASES = {
    'gpt2-odd': dict(model_type='gpt2', n_embd=36, n_layer=2, n_head=4, n_positions=24, vocab_size=61, n_inner=50,
                     scale_attn_by_inverse_layer_idx=True),
    'gpt2-sharded': dict(model_type='gpt2', n_embd=32, n_layer=3, n_head=2, n_positions=32, vocab_size=97),
    'gpt2-half': dict(model_type='gpt2', n_embd=24, n_layer=1, n_head=3, n_positions=16, vocab_size=53, tie_word_embeddings=False,
                      activation_function='gelu', layer_norm_epsilon=1e-6, scale_attn_weights=False),
    'llama-plain': dict(model_type='llama', hidden_size=24, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
                        max_position_embeddings=64, vocab_size=59),
    'llama-grouped': dict(model_type='llama', hidden_size=36, intermediate_size=50, num_hidden_layers=2, num_attention_heads=6,
                          num_key_value_heads=2, max_position_embeddings=64, vocab_size=61, tie_word_embeddings=True,
                          attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5,
                          rope_parameters=dict(rope_type='llama3', rope_theta=20.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                               original_max_position_embeddings=32)),
    'llama-linear': dict(model_type='llama', hidden_size=27, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3,
                         num_key_value_heads=1, head_dim=10, max_position_embeddings=64, vocab_size=47,
                         rope_parameters=dict(rope_type='linear', rope_theta=500.0, factor=4.0)),
    'mistral': dict(model_type='mistral', hidden_size=30, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, head_dim=8, max_position_embeddings=64, vocab_size=53, sliding_window=4),
    'qwen2': dict(model_type='qwen2', hidden_size=32, intermediate_size=45, num_hidden_layers=3, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=64, vocab_size=51, use_sliding_window=True, sliding_window=3,
                  max_window_layers=1, tie_word_embeddings=True),
    'qwen3': dict(model_type='qwen3', hidden_size=28, intermediate_size=41, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, head_dim=6, max_position_embeddings=64, vocab_size=57),
    'gpt2-long': dict(model_type='gpt2', n_embd=20, n_layer=2, n_head=2, n_positions=64, vocab_size=43),
}
STORED = {
    'gpt2-sharded': dict(dtype=torch.bfloat16, max_shard_size='20KB'),
    'gpt2-half': dict(dtype=torch.float16),
    'llama-grouped': dict(dtype=torch.bfloat16, max_shard_size='20KB'),
}
EMBEDDINGS = ['gpt2-odd']
WITHOUT_DROPOUT = {'gpt2': dict(resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)}


def random_model(seed, settings):
    torch.manual_seed(seed)
    config = AutoConfig.for_model(initializer_range=0.2, bos_token_id=0, eos_token_id=0, **settings,
                                  **WITHOUT_DROPOUT.get(settings['model_type'], {}))
    return stir(AutoModelForCausalLM.from_config(config))


def random_batch(seed, vocabulary, rows, length):
    """A few labels are ignored, as are those of padding."""
    generator = torch.Generator().manual_seed(seed)
    ids, mask = random_rows(generator, vocabulary, rows, length)
    labels = torch.where((mask == 1) & (torch.rand(ids.shape, generator=generator) > 0.15), ids, -100)
    return {'input_ids': ids, 'attention_mask': mask, 'labels': labels}


def make_case(out, name, seed):
    folder = out / name
    stored = {'dtype': torch.float32} | STORED.get(name, {})
    random_model(seed, CASES[name]).to(stored.pop('dtype')).save_pretrained(folder, **stored)
    if name == 'llama-linear':
        as_before_version_5(folder / 'config.json')
    make_golden(folder, load(folder), random_batch(seed + 1, CASES[name]['vocab_size'], 4, 12), embeddings=name in EMBEDDINGS)


def as_before_version_5(path):
    """Most folders on the Hub describe rotary embeddings so."""
    config = json.loads(path.read_text())
    rope = config.pop('rope_parameters')
    config |= {'rope_theta': rope.pop('rope_theta'), 'rope_scaling': {'type': rope.pop('rope_type')} | rope}
    path.write_text(json.dumps(config, indent=2) + '\n')


CURVES = {
    'adamw': dict(base='gpt2-odd', sites=['c_attn'], rank=4, alpha=8, optimizer='adamw', lr=1e-2, weight_decay=5e-4, schedule='constant', warm=False),
    'adamw-both': dict(base='gpt2-odd', sites=['c_attn', 'c_proj'], rank=3, alpha=3, optimizer='adamw', lr=3e-3, weight_decay=0, schedule='linear', warm=True),
    'sgd': dict(base='gpt2-odd', sites=['c_attn'], rank=4, alpha=4, optimizer='sgd', lr=3e-2, weight_decay=5e-4, schedule='cosine', warm=True),
    'embedding': dict(base='gpt2-odd', sites=['wte', 'c_attn'], rank=4, alpha=8, optimizer='adamw', lr=1e-2, weight_decay=5e-4, schedule='linear',
                      warm=False),
    'llama': dict(base='llama-grouped', sites=['q_proj', 'v_proj', 'down_proj'], rank=4, alpha=8, optimizer='adamw', lr=5e-3, weight_decay=5e-4,
                  schedule='linear', warm=True),
    'bert': dict(base='bert-odd', sites=['query', 'value'], rank=4, alpha=8, optimizer='adamw', lr=1e-2, weight_decay=5e-4, schedule='constant',
                 warm=False),
    'bert-classifier': dict(base='bert-odd', sites=['query', 'classifier'], rank=2, alpha=3, optimizer='adamw', lr=1e-2, weight_decay=5e-4,
                            schedule='linear', warm=True),
    'bart': dict(base='bart', sites=['q_proj', 'v_proj'], rank=2, alpha=4, optimizer='adamw', lr=2e-2, weight_decay=5e-4, schedule='linear',
                 warm=True),
    't5': dict(base='t5', sites=['q', 'v'], rank=3, alpha=6, optimizer='adamw', lr=1e-2, weight_decay=5e-4, schedule='linear', warm=False),
    'vit': dict(base='vit', sites=['q_proj', 'v_proj'], rank=4, alpha=8, optimizer='adamw', lr=5e-3, weight_decay=5e-4, schedule='constant',
                warm=True),
    'ia3': dict(base='gpt2-odd', kind='ia3', sites=['c_attn', 'c_fc'], optimizer='adamw', lr=3e-2, weight_decay=5e-4, schedule='linear', warm=False),
    'ia3-bert': dict(base='bert-odd', kind='ia3', sites=['key', 'value', 'classifier'], optimizer='sgd', lr=3e-2, weight_decay=0, schedule='cosine',
                     warm=True),
    'dora': dict(base='gpt2-odd', kind='dora', sites=['c_attn', 'c_proj'], rank=3, alpha=6, optimizer='adamw', lr=1e-2, weight_decay=5e-4,
                 schedule='linear', warm=False),
    'dora-bert': dict(base='bert-odd', kind='dora', sites=['query', 'dense'], rank=2, alpha=3, optimizer='sgd', lr=3e-2, weight_decay=0,
                      schedule='constant', warm=True),
    'dora-llama': dict(base='llama-grouped', kind='dora', sites=['q_proj', 'down_proj'], rank=4, alpha=8, optimizer='adamw', lr=5e-3, weight_decay=5e-4,
                       schedule='constant', warm=True),
}
STEPS = 12


def task_of(model):
    """As PEFT names it. None for classifiers: as SEQ_CLS PEFT would train the whole head beside the LoRA, and hold the head to be no site."""
    if getattr(model.config, 'is_encoder_decoder', False):
        return 'SEQ_2_SEQ_LM'
    return 'CAUSAL_LM' if model.can_generate() else None


def adapter_config(base, case):
    common = dict(target_modules=case['sites'], fan_in_fan_out=case['base'].startswith('gpt2'), task_type=task_of(base))
    if case.get('kind') == 'ia3':
        return IA3Config(feedforward_modules=[], **common)
    return LoraConfig(r=case['rank'], lora_alpha=case['alpha'], lora_dropout=0, use_dora=case.get('kind') == 'dora', **common)


def make_curve(out, name, case):
    """Twelve steps of PEFT's LoRA, DoRA or (IA)³ on one batch."""
    folder = out / 'peft' / name
    torch.manual_seed(len(name))
    base = load(out / case['base'])
    model = get_peft_model(base, adapter_config(base, case))
    trained = [p for p in model.parameters() if p.requires_grad]
    if case['warm']:
        with torch.no_grad():
            for n, parameter in model.named_parameters():
                if 'lora_B' in n:
                    parameter.normal_(0, 0.05)
                if 'ia3_l' in n or 'magnitude' in n:
                    parameter.mul_(1 + 0.1 * torch.randn_like(parameter))
    model.peft_config['default'].base_model_name_or_path = case['base']
    model.save_pretrained(folder / 'start')
    (folder / 'start' / 'README.md').unlink(missing_ok=True)
    batch = load_file(out / case['base'] / 'batch.safetensors')
    if case['optimizer'] == 'adamw':
        optimizer = torch.optim.AdamW(trained, lr=case['lr'], weight_decay=case['weight_decay'])
    else:
        optimizer = torch.optim.SGD(trained, lr=case['lr'], weight_decay=case['weight_decay'], momentum=0.9, nesterov=True)
    schedule = {
        'constant': lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, 1),
        'linear': lambda: get_linear_schedule_with_warmup(optimizer, math.ceil(0.05 * STEPS), STEPS),
        'cosine': lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS),
    }[case['schedule']]()
    losses, rates, norms = [], [], []
    for _ in range(STEPS):
        loss = model(**batch).loss
        losses.append(loss.item())
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, 1 if case['optimizer'] == 'sgd' else 1e9).item())
        optimizer.step()
        schedule.step()
    (folder / 'curve.json').write_text(json.dumps(case | {'losses': losses, 'rates': rates, 'norms': norms}, indent=1) + '\n')
    ends = {n.removeprefix('base_model.model.').replace('.default', '').replace('magnitude_vector.weight', 'magnitude_vector'): p.detach()
            for n, p in model.named_parameters() if p.requires_grad}
    write(ends, folder / 'end.safetensors')


PATTERNS = dict(base='gpt2-odd', sites=['wte', 'c_attn', 'c_proj'], r=4, lora_alpha=6, use_rslora=True,
                rank_pattern={'h.1.attn.c_attn': 7, 'attn.c_proj': 2, 'c_proj': 5, r'wte': 3},
                alpha_pattern={r'transformer\.h\.[01]\.mlp\..*': 9, '^transformer.h.0.attn.c_attn': 0.5, 'wte': 2})


def make_patterns(out):
    """A LoRA with ranks and alphas of their own for some sites, and what PEFT adds to the weight of each, as [out, in]."""
    folder = out / 'peft' / 'patterns'
    torch.manual_seed(8)
    settings = dict(PATTERNS)
    base, sites = settings.pop('base'), settings.pop('sites')
    model = get_peft_model(load(out / base), LoraConfig(lora_dropout=0, target_modules=sites, fan_in_fan_out=True, task_type='CAUSAL_LM', **settings))
    with torch.no_grad():
        for n, parameter in model.named_parameters():
            if 'lora_' in n:
                parameter.normal_(0, 0.3)
    deltas = {n.removeprefix('base_model.model.'): module.get_delta_weight('default').detach().T.contiguous()
              for n, module in model.named_modules() if hasattr(module, 'get_delta_weight')}
    model.peft_config['default'].base_model_name_or_path = base
    model.save_pretrained(folder)
    (folder / 'README.md').unlink(missing_ok=True)
    write(deltas, folder / 'deltas.safetensors')
    loss = model.eval()(**load_file(out / base / 'batch.safetensors')).loss.item()
    (folder / 'loss.json').write_text(json.dumps({'base': base, 'loss': loss}) + '\n')


GENERATING = ['gpt2-long', 'llama-grouped', 'llama-plain', 'mistral', 'qwen2', 'qwen3', 'bart', 't5']
NEW_TOKENS = 40


def make_generated(out, name):
    """Greedy continuations of one prompt, or answers to it: plain, without repeated sequences of three, and with a LoRA beside the model."""
    folder = out / name
    torch.manual_seed(len(name))
    model = load(folder)
    model.generation_config.eos_token_id = None
    prompt = torch.randint(model.config.vocab_size, (1, 7))

    def continued(generating, **options):
        ids = generating.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=NEW_TOKENS,
                                  pad_token_id=0, **options)
        return ids[0, -NEW_TOKENS:].tolist()

    plain = {'prompt': prompt[0].tolist(), 'greedy': continued(model), 'withoutRepetition': continued(model, no_repeat_ngram_size=3)}
    adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=3, lora_dropout=0, task_type=task_of(model), fan_in_fan_out=name.startswith('gpt2')))
    with torch.no_grad():
        for n, parameter in adapted.named_parameters():
            if 'lora_B' in n:
                parameter.normal_(0, 0.5)
    adapted.peft_config['default'].base_model_name_or_path = name
    adapted.save_pretrained(folder / 'adapter')
    (folder / 'adapter' / 'README.md').unlink(missing_ok=True)
    (folder / 'generated.json').write_text(json.dumps(plain | {'adapted': continued(adapted.eval())}) + '\n')


class Lion:
    """Algorithm 2 of arXiv 2302.06675 with its defaults for both β, line by line, as PyTorch has none."""

    def __init__(self, parameters, lr, weight_decay):
        self.parameters, self.rate, self.decay = parameters, lr, weight_decay
        self.means = [torch.zeros_like(parameter) for parameter in parameters]

    @torch.no_grad()
    def step(self):
        for parameter, mean in zip(self.parameters, self.means):
            between = 0.9 * mean + (1 - 0.9) * parameter.grad
            parameter -= self.rate * (torch.sign(between) + self.decay * parameter)
            mean.copy_(0.99 * mean + (1 - 0.99) * parameter.grad)


OPTIMIZERS = {
    'adamw': torch.optim.AdamW,
    'sgd': lambda parameters, **options: torch.optim.SGD(parameters, momentum=0.9, nesterov=True, **options),
    'adafactor': torch.optim.Adafactor,
    'lion': Lion,
}
# With the shape that the parameter has, what its start and its gradients are multiplied by, the rate and the weight decay.
OPTIMIZER_CASES = [
    *[(kind, [2, 3], 1, 1, 0.01, decay) for kind in ('adamw', 'sgd', 'adafactor', 'lion') for decay in (0, 0.1)],
    ('adafactor', [6], 1, 1, 0.01, 0.1),  # not factored
    ('adafactor', [3, 1, 2], 1, 1, 0.01, 0),  # three matrices
    ('adafactor', [3, 2], 0, 1, 0.01, 0),  # from zeros, as B of a low-rank auxiliary
    ('adafactor', [3, 2], 1, 1, 0.8, 0),  # above 1 / √step
    *[('adafactor', shape, 1, 2**-exponent, 0.01, 0) for shape in ([2, 3], [6]) for exponent in (12, 24)],  # where ε₁ tells
]


def make_optimizers(out):
    """A parameter of six values under five given gradients."""
    torch.manual_seed(7)
    start, gradients = torch.randn(2, 3), torch.randn(5, 2, 3)
    cases = []
    for kind, shape, size, scale, rate, decay in OPTIMIZER_CASES:
        parameter = (start.reshape(shape) * size).requires_grad_()
        optimizer = OPTIMIZERS[kind]([parameter], lr=rate, weight_decay=decay)
        values = []
        for gradient in gradients:
            parameter.grad = gradient.reshape(shape) * scale
            optimizer.step()
            values.append(parameter.detach().flatten().tolist())
        cases.append({'kind': kind, 'shape': shape, 'size': size, 'scale': scale, 'weightDecay': decay, 'rate': rate, 'values': values})
    (out / 'optimizers.json').write_text(json.dumps({
        'start': start.flatten().tolist(), 'gradients': [g.flatten().tolist() for g in gradients], 'cases': cases}, indent=1) + '\n')


TEXTS = ['', ' ', 'Hello world', "it's", '  two  spaces ', '\n\n\ttabs\r\n', 'export function add (a: number) {\n  return a + 1\n}',
         'Grüße aus Köln', 'naïve café', '日本語のテキスト', '한국어', 'Привет, мир', 'مرحبا بالعالم', 'שלום', 'ไทย', '😀👩‍👩‍👧🏽', '\u200b\ufeff',
         '\x00\x01\x7f', 'a' * 70, '1234567890', '3.14159', '<div class="x">&amp;</div>', '## Title\n\n- item', '<|endoftext|>',
         'x<|endoftext|>y', '"quoted"', '\\\\', 'https://example.org/a?b=c', 'ﬁ ligature', 'e\u0301', '\U0001d54f', 'MIT License']


def make_tokens(out, model):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(model)
    cases = [{'text': text, 'ids': tokenizer.encode(text, add_special_tokens=False)} for text in TEXTS]
    (out / 'tokenizer-tiny.json').write_text(json.dumps(cases, indent=1, ensure_ascii=True) + '\n')


CHATS = {
    'system': [('system', 'Be brief.'), ('user', 'What is 1 + 1?'), ('assistant', '2')],
    'two answers': [('user', 'Hi'), ('assistant', 'Hello!'), ('user', ' And\nnow? '), ('assistant', ' Grüße 😀 ')],
    'quotes': [('user', '"\'\\ {{ messages }} {% if %} <b>&amp;</b>'), ('assistant', '{"a": [1, null]}')],
    'question': [('user', 'Who?')],
}
CHAT_TEMPLATES = {
    'chatml': dict(eos_token='<|im_end|>', chat_template=(
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")),
    'llama-3': dict(bos_token='<|begin_of_text|>', eos_token='<|eot_id|>', chat_template=(
        "{% set loop_messages = messages %}{% for message in loop_messages %}"
        "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}"
        "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")),
    'llama-2': dict(bos_token='<s>', eos_token='</s>', chat_template="""{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = '<<SYS>>\n' ~ messages[0].content ~ '\n<</SYS>>\n\n' %}
    {%- set messages = messages[1:] %}
{%- endif %}
{% for message in messages %}
    {% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate') }}
    {% elif message.role == 'user' %}
        {{- '[INST] ' + (system if system is defined and loop.first else '') + message.content.strip() + ' [/INST]' }}
    {% else %}
        {{- ' ' ~ message.content | trim ~ ' ' ~ eos_token }}
    {% endif %}
{% endfor %}"""),
    'tools': dict(bos_token='<s>', chat_template=(
        "{{ bos_token }}{% if tools is not none %}tools{% endif %}{{ pad_token }}\n"
        "  {%- for m in messages %}\n    {{ m | tojson }}\n  {%- endfor %}\n{{ 'answer:' if add_generation_prompt else eos_token }}\n")),
}


def make_chats(out, model):
    """Conversations as apply_chat_template writes them."""
    from transformers import AutoTokenizer
    cases = []
    for name, config in CHAT_TEMPLATES.items():
        tokenizer = AutoTokenizer.from_pretrained(model)
        for token in ('bos_token', 'eos_token', 'pad_token', 'unk_token'):
            setattr(tokenizer, token, config.get(token))
        chats = []
        for title, chat in CHATS.items():
            messages = [{'role': role, 'content': content} for role, content in chat]
            for begin in (False, True):
                text = tokenizer.apply_chat_template(messages, chat_template=config['chat_template'], add_generation_prompt=begin, tokenize=False)
                chats.append({'title': title, 'messages': messages, 'open': begin, 'text': text})
        cases.append({'name': name, 'config': config, 'chats': chats})
    (out / 'chat-templates.json').write_text(json.dumps(cases, indent=1, ensure_ascii=True) + '\n')


def check_adapter(args):
    model = PeftModel.from_pretrained(load(args.model), args.adapter)
    keys = {key.replace('.default', '').replace('magnitude_vector.weight', 'magnitude_vector') for key in model.state_dict() if 'lora_' in key or 'ia3_l' in key}
    assert keys == set(load_file(Path(args.adapter) / 'adapter_model.safetensors')), 'PEFT did not take every tensor'
    print(json.dumps({'loss': model.eval()(**load_file(args.batch)).loss.item()}))


HASH_SEED = '16'


def main():
    if os.environ.get('PYTHONHASHSEED') != HASH_SEED:
        # PEFT writes its sets of sites in the order of their hashes.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {'PYTHONHASHSEED': HASH_SEED})
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('test/fixtures'), help='where to write')
    parser.add_argument('--tiny', type=Path, default=Path('models/tiny'), help='the model whose tokenizer is used')
    commands = parser.add_subparsers(dest='command')
    check = commands.add_parser('check-adapter', help='load an adapter with PEFT and print its loss')
    for name in ('model', 'adapter', 'batch'):
        check.add_argument(f'--{name}', required=True)
    args = parser.parse_args()
    warnings.filterwarnings('ignore')
    torch.set_num_threads(1)
    torch.backends.nnpack.set_flags(False)
    if args.command == 'check-adapter':
        return check_adapter(args)
    for name in (*CASES, *fixtures_tasks.CASES, 'peft'):
        shutil.rmtree(args.out / name, ignore_errors=True)
    for seed, name in enumerate(CASES):
        make_case(args.out, name, 10 * seed)
    fixtures_tasks.make_tasks(args.out)
    for name, case in CURVES.items():
        make_curve(args.out, name, case)
    make_patterns(args.out)
    for name in GENERATING:
        make_generated(args.out, name)
    make_optimizers(args.out)
    make_tokens(args.out, args.tiny)
    make_chats(args.out, args.tiny)


if __name__ == '__main__':
    main()
