#!/usr/bin/env python3
"""Makes the golden cases in test/fixtures/metrics: what scikit-learn, scipy and ROUGE give for seeded random examples.

    python scripts/fixtures_metrics.py        # writes all of test/fixtures/metrics, the same bytes every time

needs scikit-learn and scipy; no internet. ROUGE is written here from its paper and from the words that rouge_score takes, in
exact fractions and with another algorithm for the common subsequence than ours; where rouge_score is installed, the script
stops unless it gives the same.

    classification.json   predictions and labels of so many classes; accuracy, f1 (of class 1 where there are two classes,
                          else macro), matthews
    regression.json       predictions and labels; pearson and spearman, null where undefined, and mse
    rouge.json            a prediction and a reference; precision, recall and F-measure of each of rouge1, rouge2, rougeL
"""
import argparse
import json
import random
import re
import warnings
from bisect import bisect_left
from collections import Counter
from fractions import Fraction
from pathlib import Path

from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, mean_squared_error

try:
    from rouge_score.rouge_scorer import RougeScorer
except ImportError:
    RougeScorer = None

random_ = random.Random(11)


def classes_of(count, classes, right):
    """Labels of some of the classes, and predictions of which a share is right."""
    some = random_.sample(range(classes), random_.randint(1, classes))
    labels = [random_.choice(some) for _ in range(count)]
    return [label if random_.random() < right else random_.randrange(classes) for label in labels], labels


def classification_cases():
    for classes in range(2, 8):
        for count, right in [(1, 0.5), (2, 0.5), (5, 0.5), (17, 0), (40, 0.3), (40, 0.9), (60, 1)]:
            yield classes, *classes_of(count, classes, right)
        yield classes, [classes - 1] * 6, [classes - 1] * 6
        yield classes, [0] * 6, [1] * 6
        yield classes, [0, 1] * 3, [1, 0] * 3
        yield classes, [0, 1] * 3, [1] * 6
        yield classes, [0] * 6, [1, 0] * 3


def classification(classes, predictions, labels):
    average = 'binary' if classes == 2 else 'macro'
    return dict(classes=classes, predictions=predictions, labels=labels, accuracy=float(accuracy_score(labels, predictions)),
                f1=float(f1_score(labels, predictions, average=average, zero_division=0)), matthews=float(matthews_corrcoef(labels, predictions)))


def regression_cases():
    for count in [2, 3, 10, 50]:
        labels = [random_.gauss(2, 3) for _ in range(count)]
        yield [random_.gauss(0, 1) for _ in range(count)], labels
        yield [0.3 * label + random_.gauss(0, 0.5) for label in labels], labels
        yield [-label ** 3 for label in labels], labels
        yield labels, labels
        yield [round(label) for label in labels], labels
        yield [random_.randrange(4) / 2 for _ in range(count)], [random_.randrange(6) for _ in range(count)]
        yield [1e150 * label for label in labels], labels
        yield [1e-150 * label for label in labels], labels
        yield [1e6 + label for label in labels], labels
        yield [0.1] * count, labels
        yield labels, [-0.7] * count
        yield [0.1] * count, [0.1] * count
    yield [1, 2, 2, 2, 3, 3], [5, 5, 1, 5, 5, 2]
    yield [0.0, -0.0, 1.0], [1, 2, 3]


def regression(predictions, labels):
    pearson, spearman = [None if value != value else float(value) for value in
                         (pearsonr(predictions, labels).statistic, spearmanr(predictions, labels).statistic)]
    return dict(predictions=predictions, labels=labels, pearson=pearson, spearman=spearman, mse=float(mean_squared_error(labels, predictions)))


TEXTS = [
    ('', ''), ('', 'one'), ('one', ''), (' \n\t', 'one two'), ('…!?', '—'), ('one', 'one'), ('one', 'two'), ('one two', 'two one'),
    ('testing one', 'testing one two'), ('a a a a', 'a a'), ('a b a b a', 'b a b'), ('the the the', 'the cat the'),
    ('The Quick, BROWN fox!', 'the quick brown fox'), ("don't stop", 'don t stop'), ('state-of-the-art', 'state of the art'), ('snake_case', 'snake case'),
    ('3.14 is pi', '3 14 is pi'), ('line\none\r\nline two', 'line one\nline two'), ('Grüße aus Köln', 'Gr e aus K ln'), ('naïve café', 'naive cafe'),
    ('Привет, мир', 'Привет, мир'), ('你好 世界', '你好 世界'), ('hi 😀 there', 'hi there'), ('\u212aelvin', 'kelvin'), ('\u0130stanbul', 'i stanbul'),
    ('ſtrange', 'trange'), ('１２３ ４', '123 4'), ('x² + y', 'x y'), ('a\u0301b', 'a b'), ('zero\u200bwidth', 'zero width'), ('a\u00a0b', 'a b'),
    ('police killed the gunman', 'police kill the gunman'), ('the gunman kill police', 'police killed the gunman'),
]
WORDS = 'a the of to cat dog sat mat on hat house running run ran 7 42 x1 Paris'.split()


def text_cases():
    yield from TEXTS
    for count in [1, 2, 3, 8, 8, 20, 20, 60]:
        words = [random_.choice(WORDS) for _ in range(count)]
        kept = [word if random_.random() < 0.6 else random_.choice(WORDS) for word in words if random_.random() < 0.8]
        yield random_.choice(' ,.-').join(kept), ' '.join(words)
        yield ' '.join(random_.choice(WORDS[:2]) for _ in range(count)), ' '.join(random_.choice(WORDS[:3]) for _ in range(2 * count))
    yield ' '.join(random_.choice(WORDS) for _ in range(700)), ' '.join(random_.choice(WORDS) for _ in range(500))


def words_of(text):
    return re.sub(r'[^a-z0-9]+', ' ', text.lower()).split()


def common_subsequence(some, others):
    """Hunt and Szymanski: the longest rising run through the places at which others has the words of some."""
    ends = []
    for word in some:
        for place in reversed([i for i, other in enumerate(others) if other == word]):
            at = bisect_left(ends, place)
            ends[at:at + 1] = [place]
    return len(ends)


def rouge(prediction, reference):
    predicted, wanted = words_of(prediction), words_of(reference)
    scores = dict(prediction=prediction, reference=reference)
    for name, length in [('rouge1', 1), ('rouge2', 2), ('rougeL', 1)]:
        own, others = [Counter(zip(*(words[i:] for i in range(length)))) for words in (predicted, wanted)]
        common = common_subsequence(predicted, wanted) if name == 'rougeL' else (own & others).total()
        precision, recall = Fraction(common, own.total() or 1), Fraction(common, others.total() or 1)
        fmeasure = 2 * precision * recall / (precision + recall) if common else Fraction(0)
        scores[name] = dict(precision=float(precision), recall=float(recall), fmeasure=float(fmeasure))
    return scores


def check_rouge(case):
    for name, score in RougeScorer(['rouge1', 'rouge2', 'rougeL']).score(case['reference'], case['prediction']).items():
        for part, value in score._asdict().items():
            assert abs(value - case[name][part]) < 1e-12, f'rouge_score gives {name} {part} {value}: {case}'


def write(path, cases):
    """A line for each case."""
    path.write_text('[\n' + ',\n'.join(json.dumps(case, separators=(',', ':'), allow_nan=False) for case in cases) + '\n]\n')
    print(f'{path}: {len(cases)} cases, {path.stat().st_size} bytes')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('test/fixtures/metrics'), help='where to write')
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter('ignore')
    write(args.out / 'classification.json', [classification(*case) for case in classification_cases()])
    write(args.out / 'regression.json', [regression(*case) for case in regression_cases()])
    texts = [rouge(*case) for case in text_cases()]
    if RougeScorer is not None:
        for case in texts:
            check_rouge(case)
    write(args.out / 'rouge.json', texts)
    print('rouge_score is not installed, nothing was compared to it' if RougeScorer is None else f'rouge_score agrees in {len(texts)} cases')


if __name__ == '__main__':
    main()
