#!/usr/bin/env python3
"""Makes the tokenizer suite in test/fixtures/tokenizers: small tokenizers of each kind, and what Python makes of 500 strings.

    python scripts/fixtures_tokenizers.py     # writes all of test/fixtures/tokenizers, the same bytes every time

needs tokenizers and transformers; no internet. The tokenizers are trained on the strings themselves and on a licence in
node_modules.

    strings.json                 the strings, escaped to ASCII
    KIND/tokenizer.json          as the models of that kind have it, with a vocabulary of a few hundred
    KIND/tokenizer_config.json
    KIND/expected.json           before, after: ids of the special tokens around every text
                                 cases: of each string, in order, its ids without special tokens, and the text that decodes
                                 from the ids with them; skipped: the same without special tokens. Absent where equal to the string
                                 lists: decoded lists of random ids, whose bytes need not be UTF-8, and some of which there are not
                                 wholes: what comes of a text, or of two, cut to so many tokens; types: absent where all are 0
"""
import argparse
import base64
import itertools
import json
import os
import random
import shutil
import struct
import unicodedata
from collections import Counter
from pathlib import Path

os.environ['TOKENIZERS_PARALLELISM'] = 'false'
os.environ['RAYON_NUM_THREADS'] = '1'

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,  # noqa: E402
                        trainers)
from transformers import AutoTokenizer  # noqa: E402

COUNT = 500

SCRIPTS = [
    'Hello world', 'The quick brown fox jumps over the lazy dog.', 'Grüße aus Köln', 'STRASSE und STRAẞE, Straße', 'naïve café, déjà vu',
    'El niño comió piñas', 'Zażółć gęślą jaźń', 'Příliš žluťoučký kůň', 'Árvíztűrő tükörfúrógép', 'İstanbul ile ısırgan', 'IİıiŞşĞğ',
    'Þetta er íslenska', 'Ẹ kú àárọ̀', 'Xin chào thế giới', 'Tiếng Việt có dấu', "Hawai'i ʻōlelo", 'Привет, мир!', 'Ёлка и ёжик',
    'Щастие и ѝ', 'Жизнь ПРЕКРАСНА', 'Сайн байна уу', 'Καλημέρα κόσμε', 'ΟΔΥΣΣΕΥΣ και Οδυσσεύς', 'ΣΑΣ ΣΟΦΟΣ Σ', 'ᾳῳῃ ᾼ ΐ', 'Բարեւ աշխարհ',
    'გამარჯობა მსოფლიო', 'ᲒᲐᲛᲐᲠᲯᲝᲑᲐ', 'שלום עולם', 'שָׁלוֹם', 'مرحبا بالعالم', 'مَرْحَبًا', 'سلام دنیا', 'ہیلو دنیا', 'ܫܠܡܐ', 'ދިވެހި',
    'ߒߞߏ', 'नमस्ते दुनिया', 'क्षत्रिय', 'ওহে বিশ্ব', 'ਸਤਿ ਸ੍ਰੀ ਅਕਾਲ', 'નમસ્તે', 'ଓଡ଼ିଆ', 'வணக்கம்', 'నమస్కారం', 'ನಮಸ್ಕಾರ', 'നമസ്കാരം',
    'ආයුබෝවන්', 'สวัสดีชาวโลก', 'ສະບາຍດີ', 'မင်္ဂလာပါ', 'ជំរាបសួរ', 'བཀྲ་ཤིས་བདེ་ལེགས།', 'ᠮᠣᠩᠭᠣᠯ', '你好，世界。', '繁體中文測試', '日本語のテキスト',
    'カタカナ ひらがな', 'ﾊﾝｶｸｶﾅ ﾞﾟ', '안녕하세요 세계', '\u1112\u1161\u11ab\u1100\u1173\u11af', 'ㄅㄆㄇㄈ', 'ꆈꌠꁱꂷ', 'ሰላም ልዑል', 'ᏣᎳᎩ ꮳꮃꭹ', 'ᐃᓄᒃᑎᑐᑦ', 'ᚠᚢᚦᚨᚱᚲ',
    'ⵜⴰⵎⴰⵣⵉⵖⵜ', 'ꦗꦮ ᬩᬮᬶ', '𐌰𐌱𐌲', '𐐔𐐯𐑅𐐨', '𒀀𒁀 𓀀𓁐', '𠀀𠮷野家', '中\U0002b820文\U0002f800字', '漢\uf900字', 'mixed кириллица and 中文 with עברית',
    'αβγ abc абв', '한국어와 English 섞어', '東京2020オリンピック', 'fiancé(e)s—naïve…', '“quotes” ‘single’ «guillemets» „low“', '¿Qué? ¡Sí!',
]
EMOJI = [
    '😀', '😀😀😀', 'hi 😀!', '👩‍👩‍👧‍👧', '👩🏽‍🚀', '👨‍👩‍👧‍👦 family', '🏳️‍🌈', '🏴‍☠️',
    '🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f', '🇩🇪🇫🇷', '🇩', '👍🏿👍🏻', '❤️', '❤', '❤️‍🔥', '☺️ ☺', '1️⃣2️⃣#️⃣', '✈️→🌍',
    '🤷‍♀️ shrug', '🧑‍💻code', 'a😀b😀c', '😀\u200d', '\u200d😀', '\ufe0f', '🫠🫡', '🅰️🆎', '♔♕♖', '▁😀▁', '😀\n😀', '🧑🏾‍❤️‍💋‍🧑🏻', 'zś\n\n\n👩‍👩‍👧‍👧⇑',
]
COMBINING = [
    'e\u0301', 'é', 'cafe\u0301 caf\u00e9', 'a\u0301\u0302\u0303\u0304',
    'Z\u0351\u036b\u0343\u0329\u0356a\u0308\u0321l\u0334g\u0318o\u0327', '\u0301', '\u0301a', ' \u0301', 'q\u0307\u0323', 'q\u0323\u0307',
    '\u1e0b\u0323', 'A\u030a \u00c5 \u212b', '\u2126 \u03a9', '\u0344', 'o\u0308\u0304', '\u0d4a \u0d46\u0d3e', '\u0958 \u0915\u093c',
    '\uac00 \u1100\u1161', '\u1100\u1161\u11a8', 'I\u0307', 'i\u0307\u0301', '\u0130', '\u0149', '\u01c4 \u01c5 \u01c6',
    '\u0e33 \u0e4d\u0e32', 'ﬁ ﬂ ﬃ ﬆ', '½ ² ³ ¹ ª º', 'Ⅳ ⅳ ① ⑳', 'ＦＵＬＬ ｗｉｄｔｈ　１２３', '～〜~', '㎏ ㏄ ℡ №', '™ ® ©', '𝒜𝓫𝕏 𝟘𝟙', 'ﷺ', '\u2025 \u2026',
    '\u3392', 'x\u20dd', '\u0340\u0341 \u0343', 'ŉ ʼn', 'ſ ẛ', 'K k K', 'ΐ \u1fd3', 'e\u0301\u0302', 'x½\u0301', '１\ufe0f\u20e3', 'ｶﾞｷﾞ',
    '\uff21\u0301', 'A\u0301\r\nB', '\u0958\u0301',
]
CONTROL = [
    '\x00', 'a\x00b', '\x01\x02\x1f', '\x7f', 'a\x7fb', '\x80\x9f', 'a\x85b', '\x1b[31mred\x1b[0m', 'bell\x07', 'back\x08space',
    'soft\xadhyphen', 'zero\u200bwidth', 'zero\u200cnon\u200djoiner', 'left\u200eright\u200fmark', 'a\u2028b', 'a\u2029b',
    '\u202aembed\u202c', '\u2060word\u2061joiner', '\u2066iso\u2069', '\ufeffbom', 'mid\ufeffbom', '\ufeff', ' \ufeff ', '\ufffd',
    'a\ufffdb', '\ufffe', '\uffff', '\U0010ffff', '\ue000private', '\U000f0000', '\u180e', '\u061c', '\ufff9a\ufffab\ufffb', '\u0600',
    '\u110bd', '\u034f', '\u115f\u3164', '\u2800', '\x0b\x0c', '\x1c\x1d\x1e\x1f', '\U0001d173', '\U000e0001', '\u0378', '\ufdd0',
]
SPACES = '\t\n\x0b\x0c\r\x20\x85\xa0\u1680\u2000\u2003\u2007\u2009\u200a\u2028\u2029\u202f\u205f\u3000'
WHITESPACE = [
    '', *SPACES[:6], *(f'a{space}b' for space in SPACES[6:]), *(f'x{space}{space} y' for space in SPACES[7::2]), '  two  spaces ', '   ',
    ' ' * 17, '\n\n\n', '\r\n\r\n', ' \n \n ', '\t\tif x:\n\t\t\treturn', 'a\n\nb', 'a \n b', 'trailing ', ' leading', '  leading',
    '\nleading', 'trailing\n', 'trailing \n\n', 'a\r\nb', ' a', '\xa0a\xa0', '\u3000全角　空白\u3000', '\t \t', 'a' + ' ' * 9 + 'b',
    '\n \ufeff\n', '\x85\x85a', '\xa0\n\xa0\n1', '\n\u2003x', ' \x85x', '\x85 x', ' \x85.', 'a \ufeff\ufeff b', ' \ufeffx',
    '\ufeff\ufeff\n', '\x85\n\x85', '\t\u2028 x', '.\x85!', '▁', '▁▁a', 'a▁b ▁ c', '▁ ▁',
]
TOKENS = [
    '<|endoftext|>', '<|im_start|>', '<|im_end|>', '<|begin_of_text|>', '<|eot_id|>', '<tool_call>', '<s>', '</s>', '<unk>', '<pad>',
    '<mask>', '[CLS]', '[SEP]', '[UNK]', '[MASK]', '<extra_id_0>',
]
SPECIAL = [
    *TOKENS, *(f'x{token}y' for token in TOKENS), *(f' {token}  {token} z' for token in TOKENS), 'a\x85<mask>\ufeff', 'a\ufeff<mask> b',
    'a\u3000<mask>\n<mask>', '\xa0<extra_id_0>\x85b', '\ufeff<extra_id_0>\ufeff',
    '<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n', '[INST] Hi [/INST]', '<|endoftext|', '<|endof<|endoftext|>', '<<s>>',
    '</S>', '<MASK> <Mask>', '[cls] [Sep]', '<0x41><0x0A>', '<0xE5>', '##ing ##', '<s></s><s>', '<extra_id_1><extra_id_0>', 'Ġhello Ċ',
    '<| endoftext |>', '<|endoftext|>\n\n<|endoftext|>',
]
CONTRACTIONS = [
    "it's", "IT'S", "we'll they've I'm you're he'd don't", "WE'LL THEY'VE I'M", "it’s", "'s", "''s", "'tis 'twas", "o'clock", "it'\u017f",
    "'\u017f", "it'\u017fa a'\u017fa'\u017fa'\u017fa'\u017fa", "rock 'n' roll", "does n't , do n't .", "do not do not",
    "it 's , you 're ! ok ? ' x '", "'S'T'RE'x",
]
NUMBERS = [
    '0', '1234567890', '12345678901234567890', '3.14159', '-1,234,567.89', '1e-10 2E+5', '0xDEADBEEF 0b1010', '٣٤٥٦', '१२३', '１２３４',
    '1½ 2² x³', '1st 2nd 3rd', '10:30 2024-02-29', '$1.99 €2,50 ¥300', '50% 5‰', '+49 (0)221 123', 'v1.2.3-rc.4', '𝟏𝟐𝟑', '1 000 000',
    '1\u202f000', 'Ⅻ 〇 万',
]
CODE = [
    'export function add (a: number) {\n  return a + 1\n}', 'def f(x):\n    return x ** 2  # square\n', 'for (let i = 0; i < 10; ++i) {}',
    '<div class="x">&amp;</div>', '#include <stdio.h>\nint main(void) { return 0; }\n', 'SELECT * FROM t WHERE a = \'b\';',
    '## Title\n\n- item\n- [x] done\n', '{"key": [1, 2.5, null, true]}', '\\frac{a}{b} \\\\ \\n', '"quoted" \'single\' `tick`',
    'a->b::c(&d)[0] |= ~e;', '#!/bin/sh\nset -eu\n', 'let x = `${y}`', 'camelCaseName snake_case_name SCREAMING_CASE kebab-case',
    '/* comment */ // more', 'if(!a&&b||c){d?.e??f}', '\tindent\n\t\tmore\n', '==== ---- **** ####', '<!-- x -->', '$1 $& $` $$',
    '()[]{}<>', '__proto__ constructor toString', '!!!???...,,,;;;',
]
URLS = [
    'https://example.org/a?b=c&d=%20e#f', 'http://localhost:8080/', 'mailto:someone@example.com', 'www.example.co.uk/path/to/file.tar.gz',
    'C:\\Users\\name\\file.txt', '/usr/local/bin/node', '192.168.0.1:443', '[2001:db8::1]', 'file:///tmp/x%2Fy', 'https://пример.рф/путь',
    'git@github.com:a/b.git', 'data:text/plain;base64,SGVsbG8=', 'a@b.c, d@e.f', '#hashtag @mention',
    '/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW',
]
LONG = [
    'a' * 70, 'a' * 100, 'a' * 101, 'x' * 1500, 'antidisestablishmentarianism' * 20, '日本' * 200, '😀' * 60, ' ' * 300 + 'x', 'ab ' * 300,
    '\n' * 80, '1' * 400, '!' * 200, 'é' * 150, 'e\u0301' * 90, 'La La la ' * 80,
]
RECENT = [
    '\U0001fae8 shaking', '\U0001faf8', '\U00010d4a\U00010d6a', '\U0001fae9', '\u1c89\u1c8a', '\ua7cb\ua7da', '\U00031350字', '\U0001e4d0',
    '\u0cf3', '\U00011f02', '\U0002ebf0字', '\u1cfa', '㋿ 令和', 'x\U0001e030', 'ش\u08d4', 'শ\u09fe', 'ക\u0d3b', 'ab\u08e2cd', 'a\u2e52b',
    'ab\u166dcd', 'a\u061db', 'x\U00013430y', '\u1734 \u180f',
]
EDGES = [*COMBINING, *CONTROL, *WHITESPACE, *CONTRACTIONS, *RECENT]
HAND_PICKED = [*SCRIPTS, *EMOJI, *COMBINING, *CONTROL, *WHITESPACE, *SPECIAL, *CONTRACTIONS, *NUMBERS, *CODE, *URLS, *LONG, *RECENT]

BLOCKS = [
    (0x20, 0x7f), (0xa0, 0x180), (0x300, 0x340), (0x391, 0x3c9), (0x410, 0x450), (0x5d0, 0x5eb), (0x621, 0x64b), (0x905, 0x93a),
    (0xe01, 0xe31), (0x3041, 0x3097), (0x4e00, 0x4e80), (0xac00, 0xac80), (0x2190, 0x21ff), (0x1f600, 0x1f640), (0xff01, 0xff5f),
    (0x1d400, 0x1d455),
]


def make_strings():
    """Those picked by hand, then random mixes of their words, of spaces, and of characters of some blocks."""
    random_ = random.Random(2024)
    strings = list(dict.fromkeys(HAND_PICKED))
    words = [word for string in strings for word in string.split() if len(word) < 40]
    spaces = [' '] * 12 + ['', '', '  ', '\n', '\n\n', '\t', '\r\n', *SPACES, *',.!?;-\'"']

    def characters():
        return ''.join(chr(random_.randrange(*random_.choice(BLOCKS))) for _ in range(random_.randint(1, 6)))

    while len(strings) < COUNT:
        pieces = []
        for _ in range(random_.randint(1, 14)):
            pieces += [random_.choice(words) if random_.random() < 0.8 else characters(), random_.choice(spaces)]
        string = ''.join(pieces)
        if string not in strings:
            strings.append(string)
    assert len(strings) == COUNT, f'{len(strings)} strings picked by hand, of {COUNT}'
    return strings


QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN.replace(r'\p{N}|', r'\p{N}{1,3}|')


def special(content, **options):
    return AddedToken(content, normalized=False, special=True, **options)


def train(tokenizer, texts, trainer, **settings):
    tokenizer.train_from_iterator(texts, trainer=trainer(show_progress=False, **settings))
    return tokenizer


def byte_level(texts, pre_tokenizer, added, normalizer=None, **model):
    """Trained without the pre-tokenizer, so that it shows in the ids where a text was cut: some merges go over what it cuts."""
    tokenizer = Tokenizer(models.BPE(**model))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    train(tokenizer, texts, trainers.BpeTrainer, vocab_size=1100, special_tokens=added, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), 'isolated'),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])


def gpt2(texts):
    tokenizer = byte_level(texts, pre_tokenizers.ByteLevel(add_prefix_space=False), [special('<|endoftext|>')])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def qwen2(texts):
    tokenizer = byte_level(texts, split_then_bytes(QWEN), [special('<|endoftext|>'), special('<|im_start|>'), special('<|im_end|>')],
                           normalizers.NFC())
    tokenizer.add_tokens([AddedToken('<tool_call>', normalized=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def llama3(texts):
    tokenizer = byte_level(texts, split_then_bytes(LLAMA3), [special('<|begin_of_text|>'), special('<|endoftext|>'), special('<|eot_id|>')],
                           ignore_merges=True)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template(tokenizer, '<|begin_of_text|> $A')])
    return tokenizer


def roberta(texts):
    tokenizer = byte_level(texts, pre_tokenizers.ByteLevel(add_prefix_space=True),
                           [*map(special, ('<s>', '<pad>', '</s>', '<unk>')), special('<mask>', lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(('</s>', 2), ('<s>', 0), add_prefix_space=True)
    return tokenizer


def numbered(pieces):
    return {piece: number for number, piece in enumerate(pieces)}


def template(tokenizer, single, pair=None):
    names = [name for name in single.split() if not name.startswith('$')]
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=[(name, tokenizer.token_to_id(name)) for name in names])


def merge(texts, size, letters, pre_tokenizer, normalizer=None):
    """Vocabulary in order, and merges. A trainer that picks the letters itself does so otherwise in each run, where some are as frequent."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
        texts = [normalizer.normalize_str(text) for text in texts]
    counts = Counter(letter for text in texts for word, _ in pre_tokenizer.pre_tokenize_str(text) for letter in word)
    alphabet = sorted(counts, key=lambda letter: (-counts[letter], letter))[:letters]
    train(tokenizer, texts, trainers.BpeTrainer, vocab_size=size, initial_alphabet=alphabet, limit_alphabet=len(alphabet))
    model = json.loads(tokenizer.to_str())['model']
    return sorted(model['vocab'], key=model['vocab'].get), [tuple(pair) for pair in model['merges']]


def byte_fallback(texts, normalizer, pre_tokenizer, decoder):
    """As converted from SentencePiece: unknown, begin, end, then 256 bytes, then the merged."""
    merged, merges = merge(texts, 700, 150, pre_tokenizers.Metaspace(split=False))
    pieces = ['<unk>', '<s>', '</s>', *(f'<0x{byte:02X}>' for byte in range(256)), *merged]
    tokenizer = Tokenizer(models.BPE(vocab=numbered(pieces), merges=merges, unk_token='<unk>', fuse_unk=True, byte_fallback=True))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens([special('<unk>'), special('<s>'), special('</s>')])
    tokenizer.post_processor = template(tokenizer, '<s> $A')
    return tokenizer


def llama_decoder():
    return decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(' ', 1, 0)])


def llama2(texts):
    return byte_fallback(texts, normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')]), None, llama_decoder())


def mistral(texts):
    return byte_fallback(texts, None, pre_tokenizers.Metaspace(prepend_scheme='first', split=False), llama_decoder())


def bert(texts, lowercase):
    """A WordPiece trainer numbers its pieces otherwise in each run."""
    names = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    normalizer, pre_tokenizer = normalizers.BertNormalizer(lowercase=lowercase), pre_tokenizers.BertPreTokenizer()
    merged, _ = merge(texts, 650, 400, pre_tokenizer, normalizer)
    tokenizer = Tokenizer(models.WordPiece(numbered([*names, *merged, *(f'##{piece}' for piece in merged)]), unk_token='[UNK]'))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([*map(special, names)])
    tokenizer.post_processor = processors.TemplateProcessing(single='[CLS] $A [SEP]', pair='[CLS] $A [SEP] $B:1 [SEP]:1',
                                                             special_tokens=[(name, tokenizer.token_to_id(name)) for name in ('[CLS]', '[SEP]')])
    return tokenizer


def unigram(texts, normalizer, pre_tokenizer):
    """A Unigram trainer's scores differ from run to run; ours come from the lengths and counts of pieces."""
    pieces, _ = merge(texts, 700, 250, pre_tokenizer, normalizer)
    whole = '\n'.join(word for text in texts for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text)))
    scores = {piece: -round(12 - 1.3 * (len(piece) - 1) ** 0.5 - 0.8 * (whole.count(piece) + 1) ** 0.25, 3) for piece in pieces}
    vocabulary = [('<pad>', 0.0), ('</s>', 0.0), ('<unk>', 0.0), *sorted(scores.items(), key=lambda item: (-item[1], item[0]))]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([special('<pad>'), special('</s>'), special('<unk>'), special('<extra_id_0>', lstrip=True, rstrip=True), special('<extra_id_1>')])
    tokenizer.post_processor = template(tokenizer, '$A </s>', '$A </s> $B </s>')
    return tokenizer


def t5(texts):
    return unigram(texts, normalizers.Precompiled(charsmap(nmt_rules())), pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]))


def t5_nfkc(texts):
    return unigram(texts, normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(' {2,}'), '▁')]),
                   pre_tokenizers.Metaspace(prepend_scheme='always', split=True))


def nmt_rules():
    """Some of SentencePiece's nmt_nfkc: controls go, spaces become one kind, a few blocks and accents in their NFKC form."""
    rules = {chr(code): '' for code in (*range(0x1, 0x9), 0xb, *range(0xe, 0x20), 0x7f, 0x8f, 0x9f)}
    rules |= {chr(code): ' ' for code in (0x9, 0xa, 0xc, 0xd, 0xa0, 0x1680, *range(0x2000, 0x2010), 0x2028, 0x2029, 0x202f, 0x205f, 0x2581, 0x3000, 0xfeff, 0xfffd)}
    for start, end in ((0xa0, 0x180), (0x2100, 0x2190), (0x2460, 0x2474), (0x3300, 0x33ff), (0xfb00, 0xfb07), (0xff01, 0xffa0)):
        for character in map(chr, range(start, end)):
            form = unicodedata.normalize('NFKC', character)
            if form != character and character != '～':
                rules.setdefault(character, form)
    for letter in 'aeiouAEIOUncdg':
        for accent in '\u0300\u0301\u0302\u0303\u0308\u030c\u0327':
            form = unicodedata.normalize('NFKC', letter + accent)
            if len(form) == 1:
                rules[letter + accent] = form
    return rules


def charsmap(rules):
    """SentencePiece's precompiled_charsmap: a double array of the bytes to be replaced, then what replaces them."""
    replacements = bytearray()
    trie = {}
    for key in sorted(rules):
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[0] = len(replacements)
        replacements += rules[key].encode() + b'\0'
    units, taken, bases = {0: 0}, {0}, {0}
    waiting = [(0, trie)]
    for position, node in waiting:
        base = 1
        while base in bases or any(base ^ label in taken for label in node):
            base += 1
        bases.add(base)
        taken.update(base ^ label for label in node)
        units[position] |= (position ^ base) << 10 | (0 in node) << 8
        for label, child in sorted(node.items()):
            units[base ^ label] = label or child | 1 << 31
            if label:
                waiting.append((base ^ label, child))
    size = (max(units) // 256 + 1) * 256
    assert size < 1 << 21, 'the offsets need the longer form'
    return struct.pack(f'<I{size}I', 4 * size, *(units.get(position, 0) for position in range(size))) + bytes(replacements)


KINDS = {
    'gpt2': (gpt2, dict(bos_token='<|endoftext|>', eos_token='<|endoftext|>', unk_token='<|endoftext|>')),
    'qwen2': (qwen2, dict(eos_token='<|im_end|>', pad_token='<|endoftext|>', clean_up_tokenization_spaces=False)),
    'llama3': (llama3, dict(bos_token='<|begin_of_text|>', eos_token='<|eot_id|>', clean_up_tokenization_spaces=True)),
    'llama2': (llama2, dict(bos_token='<s>', eos_token='</s>', unk_token='<unk>', clean_up_tokenization_spaces=False)),
    'mistral': (mistral, dict(bos_token='<s>', eos_token='</s>', unk_token='<unk>')),
    'bert-uncased': (lambda texts: bert(texts, True), dict(cls_token='[CLS]', sep_token='[SEP]', pad_token='[PAD]', unk_token='[UNK]', mask_token='[MASK]',
                                                          clean_up_tokenization_spaces=True)),
    'bert-cased': (lambda texts: bert(texts, False), dict(cls_token='[CLS]', sep_token='[SEP]', pad_token='[PAD]', unk_token='[UNK]', mask_token='[MASK]',
                                                        truncation_side='left')),
    't5': (t5, dict(eos_token='</s>', pad_token='<pad>', unk_token='<unk>')),
    't5-nfkc': (t5_nfkc, dict(eos_token='</s>', pad_token='<pad>', unk_token='<unk>', clean_up_tokenization_spaces=True)),
    'roberta': (roberta, dict(bos_token='<s>', eos_token='</s>', sep_token='</s>', cls_token='<s>', unk_token='<unk>', pad_token='<pad>')),
}
LISTS = 40

WHOLE_TEXTS = ['', 'Grüße!', 'The quick fox']
LONGEST_WHOLE = 14


def around(without, with_special):
    """The special tokens before and after a text."""
    start = next(i for i in range(len(with_special)) if with_special[i:i + len(without)] == without)
    return with_special[:start], with_special[start + len(without):]


def decoded(tokenizer, ids, string=None):
    texts = {'text': tokenizer.decode(ids), 'skipped': tokenizer.decode(ids, skip_special_tokens=True)}
    return {name: text for name, text in texts.items() if text != string}


def make_expected(folder, strings):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    before, after = around(tokenizer.encode('x', add_special_tokens=False), tokenizer.encode('x'))
    cases = []
    for string in strings:
        ids, with_special = tokenizer.encode(string, add_special_tokens=False), tokenizer.encode(string)
        assert with_special == [*before, *ids, *after], f'other special tokens around {string!r}'
        cases.append({'ids': ids, **decoded(tokenizer, with_special, string)})
    random_ = random.Random(7)
    lists = []
    for number in range(LISTS):
        ids = [random_.randrange(len(tokenizer) + 9) for _ in range(random_.randint(1, 3 + number // 3))]
        lists.append({'ids': ids, **decoded(tokenizer, ids)})
    write_lines(folder / 'expected.json', before=before, after=after, cases=cases, lists=lists, wholes=make_wholes(tokenizer))


def make_wholes(tokenizer):
    """
    Cut to every length from one that has room for a token of a text. Where two texts are cut and the room is odd, it depends on
    the version of tokenizers which of them keeps one more: only equals are asked for.
    """
    wholes = []
    for text, pair in itertools.product(WHOLE_TEXTS, [None, *WHOLE_TEXTS]):
        shorter = min(len(tokenizer.encode(one or '', add_special_tokens=False)) for one in (text, pair))
        special_tokens = tokenizer.num_special_tokens_to_add(pair=bool(pair))
        for room in range(1, LONGEST_WHOLE - special_tokens + 1):
            if room % 2 == 1 and shorter > room // 2 and text != pair:
                continue
            length = room + special_tokens
            made = tokenizer(text, pair, truncation=True, max_length=length, return_token_type_ids=True)
            types = {'types': made['token_type_ids']} if any(made['token_type_ids']) else {}
            wholes.append({'text': text, **({} if pair is None else {'pair': pair}), 'length': length, 'ids': made['input_ids'], **types})
    return wholes


def compact(value):
    return json.dumps(value, ensure_ascii=True, separators=(',', ':'))


def write_lines(path, **values):
    """A line for each element of a list of objects."""
    members = [f'"{name}":[\n' + ',\n'.join(map(compact, value)) + '\n]' if value and isinstance(value[0], dict) else f'"{name}":{compact(value)}'
               for name, value in values.items()]
    path.write_text('{' + ',\n'.join(members) + '}\n')


def make_kind(folder, name, strings, texts):
    make, config = KINDS[name]
    folder.mkdir(parents=True)
    (folder / 'tokenizer.json').write_text(compact(json.loads(make(texts).to_str())) + '\n')
    (folder / 'tokenizer_config.json').write_text(json.dumps(config | {'tokenizer_class': 'PreTrainedTokenizerFast'}, indent=1) + '\n')
    make_expected(folder, strings)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('test/fixtures/tokenizers'), help='where to write')
    parser.add_argument('--text', type=Path, default=Path('node_modules/@huggingface/tokenizers/LICENSE'), help='English to train on, besides the strings')
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    strings = make_strings()
    (args.out / 'strings.json').write_text('[\n' + ',\n'.join(map(compact, strings)) + '\n]\n')
    texts = [*(string for string in strings if len(string) < 200), *EDGES * 6, *args.text.read_text().split('\n')]
    for name in KINDS:
        make_kind(args.out / name, name, strings, texts)
        print(f'{name}: {(args.out / name / "tokenizer.json").stat().st_size} bytes')


if __name__ == '__main__':
    main()
