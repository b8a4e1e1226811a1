/** The cipher of libp2p's Noise, with a key that both sides have, so that no certificate is needed. Later versions cannot be told to take a key. */
export const TLS = { ciphers: 'PSK-CHACHA20-POLY1305', maxVersion: 'TLSv1.2' } as const

/** What both sides have. */
export const TLS_KEY = Buffer.alloc(32, 'colanet bench')
