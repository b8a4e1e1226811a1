#!/usr/bin/env python3
"""Makes the reference values in test/fixtures/privacy: what is published of the accountants of others, and Rényi divergences and
ε by numerical integration.

    python scripts/fixtures_privacy.py        # writes all of test/fixtures/privacy, the same bytes every time

needs mpmath and numpy; no internet.

    published.json      ε of so many steps, each with where it stands (repository, path, commit) and how its authors came from
                        Rényi divergences to (ε, δ): `canonne` as we do, or `mironov` (2017), with log(1/δ)/(order − 1)
    divergences.json    of one step of the Poisson-subsampled Gaussian mechanism, by order: the integral that the formulas of
                        Mironov, Talwar and Zhang (2019) solve, by quadrature with 30 digits
    epsilons.json       the least ε over 600 orders, from such integrals as sums over a fine grid, to 10 digits
    log-erfc.json       ln erfc(x)
"""
import json
import math
from pathlib import Path

import numpy as np
from mpmath import erfc, exp, log, mp, mpf, npdf, quad

mp.dps = 30
FOLDER = Path(__file__).parent.parent / 'test' / 'fixtures' / 'privacy'


def steps_of(examples, batch_size, epochs):
    return math.ceil(epochs * examples / batch_size)


TUTORIAL = 'tensorflow/privacy, tutorials/README.md, d435fcbf9af0d1ffd41ebc15ae23595124f7aa73: MNIST, 60000 examples, batches of 256'
DPSGD = 'tensorflow/privacy, tensorflow_privacy/privacy/analysis/compute_dp_sgd_privacy_test.py, 2cd46dbb995dfee13162f4e4a7b40c1940c9c6f0'
OPACUS = 'pytorch/opacus, opacus/tests/accountants_test.py, 2f4b54640c031948c4264d56b6f101baf5676490'
DP_ACCOUNTING = 'tensorflow/privacy, tensorflow_privacy/privacy/analysis/rdp_accountant_test.py, 09270afed61a4e9ef6295217b53731f7515f0350'

# source, conversion, noise multiplier, sampling rate, steps, δ, ε
PUBLISHED = [
    (TUTORIAL, 'mironov', 1.3, 256 / 60000, steps_of(60000, 256, 15), 1e-5, 1.19),
    (TUTORIAL, 'mironov', 1.1, 256 / 60000, steps_of(60000, 256, 60), 1e-5, 3.01),
    (TUTORIAL, 'mironov', 0.7, 256 / 60000, steps_of(60000, 256, 45), 1e-5, 7.10),
    (f'{DPSGD}: test_compute_dp_sgd_privacy, Test0', 'canonne', 1.3, 150 / 60000, steps_of(60000, 150, 15), 1e-5, 0.7242234026109595),
    (f'{DPSGD}: test_compute_dp_sgd_privacy, Test1', 'canonne', 1.0, 100 / 100000, steps_of(100000, 100, 30), 1e-7, 1.4154988495444842),
    (f'{DPSGD}: no_microbatching_no_subsampling_rdp', 'canonne', 0.7, 1, 2, 1e-5, 10.8602036),
    (f'{DPSGD}: microbatching_no_subsampling_rdp, which halves the noise', 'canonne', 0.35, 1, 2, 1e-5, 26.2880374),
    (f'{DPSGD}: no_microbatching_with_subsampling_rdp', 'canonne', 0.7, 1e-2, 120, 1e-5, 3.2392676),
    (f'{DPSGD}: microbatching_with_subsampling_rdp, which halves the noise', 'canonne', 0.35, 1e-2, 120, 1e-5, 22.6248601),
    (f'{DPSGD}: the statement with microbatching, which halves the noise, each example once an epoch', 'canonne', 1.0, 1, 5, 1e-6, 13.376),
    (f'{DPSGD}: the same with Poisson sampling', 'canonne', 1.0, 64 / 10000, steps_of(10000, 64, 5), 1e-6, 1.616),
    (f'{OPACUS}: test_rdp_accountant', 'canonne', 1.5, 0.04, int(90 / 0.04), 1e-5, 7.32911117143),
    (f'{DP_ACCOUNTING}: test_get_privacy_spent_check_target_delta', 'canonne', 4.530877117, 1, 1, 1e-6, 1),
]

# sampling rate, noise multiplier, order
DIVERGENCES = [
    (0.01, 2.5, 1.5), (0.01, 2.5, 2.5), (0.01, 2.5, 5), (0.01, 2.5, 50), (0.1, 2, 5), (0.001, 1, 1.1), (0.004, 1.1, 9.3),
    (0.02, 0.7, 3.7), (0.1, 0.6, 1.3), (0.3, 1, 2.2), (0.5, 1, 1.1), (0.5, 1.5, 10.9), (0.9, 2, 1.6), (0.999, 1, 4.5),
    (0.2, 5, 30), (1e-4, 0.5, 2), (1e-6, 1, 27), (0.05, 20, 40), (0.7, 10, 60),
]

# sampling rate, noise multiplier, steps, δ
EPSILONS = [
    (0.004, 1.1, 14000, 1e-5), (0.01, 0.8, 1000, 1e-5), (0.01, 4, 10000, 1e-5), (0.04, 1.5, 2250, 1e-5), (0.1, 0.5, 10, 1e-6),
    (0.001, 0.6, 5000, 1e-7), (0.25, 3, 200, 1e-3), (0.5, 1, 20, 1e-4), (0.05, 10, 3000, 1e-5), (0.02, 40, 500, 1e-5), (1, 8, 50, 1e-5),
]

ERFC = [-30, -3, -2.5, -2.01, -2, -1, -0.3, 0, 1e-9, 0.01, 0.5, 1, 1.7, 1.99, 2, 2.01, 2.5, 4, 8, 26, 100]


def divergence(q, sigma, order):
    """ln E[((1 − q) + q·e^((2z − 1)/(2σ²)))^order] / (order − 1), z of N(0, σ²)."""
    q, sigma, order = mpf(q), mpf(sigma), mpf(order)
    if q == 1:
        return order / (2 * sigma ** 2)
    # the mass is where z is of N(k, σ²) for some k from 0 to the order
    low, high = -14 * sigma, order + 14 * sigma
    count = max(14, int((high - low) / (2 * sigma)))
    pieces = [low + (high - low) * i / count for i in range(count + 1)]
    value = quad(lambda z: npdf(z, 0, sigma) * ((1 - q) + q * exp((2 * z - 1) / (2 * sigma ** 2))) ** order, pieces)
    return log(value) / (order - 1)


def epsilon(q, sigma, steps, delta):
    """The least over 600 orders above 1, spaced evenly by the logarithm of order - 1: sums over a fine grid, in float64."""
    orders = 1 + np.exp(np.linspace(-3, math.log(600), 600))
    if q == 1:
        logs = orders * (orders - 1) / (2 * sigma ** 2)
    else:
        logs = np.array([log_moment(q, sigma, order) for order in orders])
    return min(steps * logs / (orders - 1) + np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1))


def log_moment(q, sigma, order):
    z = np.linspace(-14 * sigma, order + 14 * sigma, 100 * int(28 + order / sigma))
    mixture = np.logaddexp(math.log1p(-q), math.log(q) + (2 * z - 1) / (2 * sigma ** 2))
    logs = order * mixture - z ** 2 / (2 * sigma ** 2) - 0.5 * math.log(2 * math.pi * sigma ** 2)
    return np.log(np.exp(logs - logs.max()).sum() * (z[1] - z[0])) + logs.max()


def write(name, cases):
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = ',\n'.join('  ' + json.dumps(case, ensure_ascii=False) for case in cases)
    (FOLDER / name).write_text(f'[\n{lines}\n]\n', encoding='utf8')
    print(f'{name}: {len(cases)} cases')


def main():
    write('published.json', [dict(source=source, conversion=conversion, noiseMultiplier=sigma, sampleRate=q, steps=steps, delta=delta, epsilon=value)
                             for source, conversion, sigma, q, steps, delta, value in PUBLISHED])
    write('divergences.json', [dict(sampleRate=q, noiseMultiplier=sigma, order=order, divergence=float(divergence(q, sigma, order)))
                               for q, sigma, order in DIVERGENCES])
    write('log-erfc.json', [dict(x=x, log=float(log(erfc(mpf(x))))) for x in ERFC])
    write('epsilons.json', [dict(sampleRate=q, noiseMultiplier=sigma, steps=steps, delta=delta, epsilon=float(f'{epsilon(q, sigma, steps, delta):.10g}'))
                            for q, sigma, steps, delta in EPSILONS])


if __name__ == '__main__':
    main()
