"""The golden cases of models that do not continue text: classifiers of text and of images, and models from text to text.

transformers numbers RoBERTa's positions by the ids that are not padding, so the padding there is written as its id. Decoders
of text to text begin from the labels, shifted to the right.
"""
import json
from types import SimpleNamespace

import torch
import transformers

from fixtures_golden import load, make_golden, random_rows, stir, write

BERT = dict(architecture='BertForSequenceClassification', hidden_dropout_prob=0, attention_probs_dropout_prob=0, initializer_range=0.2)
ROBERTA = BERT | dict(architecture='RobertaForSequenceClassification', pad_token_id=1, bos_token_id=0, eos_token_id=2, type_vocab_size=1)
BART = dict(architecture='BartForConditionalGeneration', dropout=0, init_std=0.2, pad_token_id=1, bos_token_id=0, eos_token_id=2,
            decoder_start_token_id=2, forced_eos_token_id=None)
T5 = dict(architecture='T5ForConditionalGeneration', dropout_rate=0, relative_attention_num_buckets=8, relative_attention_max_distance=12,
          pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
VIT = dict(architecture='ViTForImageClassification', hidden_dropout_prob=0, attention_probs_dropout_prob=0, initializer_range=0.2)

CASES = {
    'bert-odd': BERT | dict(hidden_size=21, intermediate_size=31, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=16,
                            vocab_size=61, num_labels=5),
    'bert-regression': BERT | dict(hidden_size=20, intermediate_size=27, num_hidden_layers=1, num_attention_heads=4,
                                   max_position_embeddings=12, vocab_size=43, num_labels=1, problem_type='regression', hidden_act='relu'),
    'bert-half': BERT | dict(hidden_size=18, intermediate_size=35, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=20,
                             vocab_size=53, num_labels=2, hidden_act='gelu_new', layer_norm_eps=1e-6, type_vocab_size=3),
    'roberta': ROBERTA | dict(hidden_size=21, intermediate_size=29, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=14,
                              vocab_size=59, num_labels=3, layer_norm_eps=1e-5),
    'roberta-regression': ROBERTA | dict(hidden_size=18, intermediate_size=23, num_hidden_layers=1, num_attention_heads=2,
                                         max_position_embeddings=20, vocab_size=47, num_labels=1),
    'bart': BART | dict(d_model=12, encoder_layers=2, decoder_layers=2, encoder_attention_heads=3, decoder_attention_heads=4,
                        encoder_ffn_dim=17, decoder_ffn_dim=15, max_position_embeddings=45, vocab_size=47),
    'bart-scaled': BART | dict(d_model=15, encoder_layers=1, decoder_layers=2, encoder_attention_heads=5, decoder_attention_heads=3,
                               encoder_ffn_dim=17, decoder_ffn_dim=22, max_position_embeddings=16, vocab_size=41, scale_embedding=True,
                               activation_function='relu'),
    't5': T5 | dict(d_model=14, d_kv=5, num_heads=3, d_ff=19, num_layers=2, num_decoder_layers=1, vocab_size=49),
    't5-gated': T5 | dict(d_model=11, d_kv=5, num_heads=2, d_ff=15, num_layers=1, num_decoder_layers=2, vocab_size=45,
                          feed_forward_proj='gated-gelu', tie_word_embeddings=False),
    'vit': VIT | dict(hidden_size=21, intermediate_size=31, num_hidden_layers=2, num_attention_heads=3, image_size=[12, 8], patch_size=4,
                      num_channels=3, num_labels=4),
    'vit-grey': VIT | dict(hidden_size=20, intermediate_size=25, num_hidden_layers=1, num_attention_heads=4, image_size=9, patch_size=3,
                           num_channels=1, num_labels=3, qkv_bias=False, hidden_act='gelu_new', layer_norm_eps=1e-6),
    'linear': dict(architecture='LinearClassifier', num_channels=3, image_size=[6, 5], num_labels=4),
    'mlp': dict(architecture='MlpClassifier', num_channels=1, image_size=7, num_labels=5, hidden_sizes=[17, 11], hidden_act='relu'),
    'cnn': dict(architecture='CnnClassifier', num_channels=3, image_size=[10, 9], num_labels=4, conv_channels=[6, 9], kernel_size=3,
                hidden_act='relu'),
}
STORED = {
    'bert-half': dict(dtype=torch.float16, max_shard_size='8KB'),
    'bart-scaled': dict(dtype=torch.bfloat16),
    'vit-grey': dict(dtype=torch.float16),
}
SEEDS = {'bart': 19, 't5': 58}
LOUDER = {'.embed_positions.weight': 5, '.relative_attention_bias.weight': 5, '.v.weight': 4, '.o.weight': 4, '.wi.weight': 4, '.wo.weight': 4}
EMBEDDINGS = ['bert-odd', 't5']
WITH_TOKEN_TYPES = ['bert-odd', 'bert-half']


def random_model(seed, settings):
    """A model whose every weight matters: biases, norms and the rows of padding are random as well.

    Models from text to text, whose head is their embedding, would say one token again and again, were their layers not made
    LOUDER; SEEDS are ones whose answers vary and whose best token is clearly best.
    """
    settings = dict(settings)
    kind = getattr(transformers, settings.pop('architecture'))
    torch.manual_seed(seed)
    model = stir(kind(kind.config_class(**settings)))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx].normal_(0, 0.2)
        for name, parameter in model.named_parameters():
            for part, factor in LOUDER.items():
                if name.endswith(part):
                    parameter.mul_(factor)
        if hasattr(model, 'final_logits_bias'):
            model.final_logits_bias.normal_(0, 0.5)
        if settings.get('tie_word_embeddings') is False:
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.3)
            del model.all_tied_weights_keys['lm_head.weight']
    return model


def random_labels(generator, rows, settings):
    if settings['num_labels'] == 1:
        return torch.randn(rows, generator=generator)
    return torch.randint(settings['num_labels'], (rows,), generator=generator)


def random_texts(generator, name, settings):
    """Texts of which one is padded on the left and two are on the right, and their labels."""
    ids, mask = random_rows(generator, settings['vocab_size'], 4, 10)
    if 'pad_token_id' in settings:
        ids = torch.where(mask == 1, ids, settings['pad_token_id'])
    batch = {'input_ids': ids, 'attention_mask': mask, 'labels': random_labels(generator, 4, settings)}
    if name in WITH_TOKEN_TYPES:
        batch['token_type_ids'] = torch.randint(settings.get('type_vocab_size', 2), ids.shape, generator=generator)
    return batch


def random_pairs(generator, settings):
    """Sources padded on the right and on the left, and targets of another length that end before the row does.

    Where positions are relative, texts are long enough for every bucket of distances.
    """
    length, target = (13, 12) if 'relative_attention_num_buckets' in settings else (10, 7)
    ids, mask = random_rows(generator, settings['vocab_size'], 3, length)
    labels = torch.randint(settings['vocab_size'], (3, target), generator=generator)
    labels[1, -4:] = -100
    labels[2, -2:] = -100
    return {'input_ids': torch.where(mask == 1, ids, settings['pad_token_id']), 'attention_mask': mask, 'labels': labels}


def random_images(generator, settings):
    pixels = torch.randn(4, settings['num_channels'], *height_and_width(settings['image_size']), generator=generator)
    return {'pixel_values': pixels, 'labels': random_labels(generator, 4, settings)}


def random_batch(seed, name, settings):
    generator = torch.Generator().manual_seed(seed)
    if 'image_size' in settings:
        return random_images(generator, settings)
    return random_texts(generator, name, settings) if 'num_labels' in settings else random_pairs(generator, settings)


def height_and_width(size):
    return [size, size] if isinstance(size, int) else size


class Classifier(torch.nn.Module):
    """An image classifier of ours: logits [rows, labels] and their cross-entropy."""

    def __init__(self, num_channels, image_size, num_labels):
        super().__init__()
        height, width = height_and_width(image_size)
        self.pixels, self.channels, self.labels = num_channels * height * width, num_channels, num_labels

    def forward(self, pixel_values, labels):
        logits = self.classifier(self.features(pixel_values))
        return SimpleNamespace(loss=torch.nn.functional.cross_entropy(logits, labels), logits=logits)


class LinearClassifier(Classifier):
    def __init__(self, **image):
        super().__init__(**image)
        self.classifier = torch.nn.Linear(self.pixels, self.labels)

    def features(self, pixels):
        return pixels.flatten(1)


class MlpClassifier(Classifier):
    def __init__(self, hidden_sizes, hidden_act, **image):
        super().__init__(**image)
        self.activation = getattr(torch.nn.functional, hidden_act)
        sizes = [self.pixels, *hidden_sizes]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(size, following) for size, following in zip(sizes, hidden_sizes))
        self.classifier = torch.nn.Linear(sizes[-1], self.labels)

    def features(self, pixels):
        hidden = pixels.flatten(1)
        for layer in self.layers:
            hidden = self.activation(layer(hidden))
        return hidden


class CnnClassifier(Classifier):
    def __init__(self, conv_channels, kernel_size, hidden_act, **image):
        super().__init__(**image)
        self.activation = getattr(torch.nn.functional, hidden_act)
        channels = [self.channels, *conv_channels]
        self.convs = torch.nn.ModuleList(torch.nn.Conv2d(size, following, kernel_size, padding=kernel_size // 2)
                                         for size, following in zip(channels, conv_channels))
        self.classifier = torch.nn.Linear(channels[-1], self.labels)

    def features(self, pixels):
        hidden = pixels
        for conv in self.convs:
            hidden = torch.nn.functional.max_pool2d(self.activation(conv(hidden)), 2)
        return hidden.mean((2, 3))


OURS = {'LinearClassifier': ('linear-classifier', LinearClassifier), 'MlpClassifier': ('mlp-classifier', MlpClassifier),
        'CnnClassifier': ('cnn-classifier', CnnClassifier)}


def make_ours(folder, seed, settings):
    """One of our own classifiers as PyTorch initialises it."""
    settings = dict(settings)
    architecture = settings.pop('architecture')
    model_type, kind = OURS[architecture]
    torch.manual_seed(seed)
    model = kind(**settings).eval()
    folder.mkdir()
    write(model.state_dict(), folder / 'model.safetensors')
    (folder / 'config.json').write_text(json.dumps({'model_type': model_type, 'architectures': [architecture]} | settings, indent=2) + '\n')
    return model


def as_before_version_5(path):
    """T5 v1.1 on the Hub says only so that its head is a matrix of its own, before which nothing is scaled."""
    config = json.loads(path.read_text())
    for name in ('scale_decoder_outputs', 'dense_act_fn', 'is_gated_act'):
        del config[name]
    path.write_text(json.dumps(config | {'tie_word_embeddings': False}, indent=2) + '\n')


def make_task(out, name, seed):
    folder, settings = out / name, CASES[name]
    if settings['architecture'] in OURS:
        model = make_ours(folder, seed, settings)
    else:
        stored = {'dtype': torch.float32} | STORED.get(name, {})
        random_model(seed, settings).to(stored.pop('dtype')).save_pretrained(folder, **stored)
        if name == 't5-gated':
            as_before_version_5(folder / 'config.json')
        model = load(folder)
    make_golden(folder, model, random_batch(seed + 1, name, settings), embeddings=name in EMBEDDINGS)


def make_tasks(out):
    for seed, name in enumerate(CASES):
        make_task(out, name, SEEDS.get(name, 1000 + 10 * seed))
