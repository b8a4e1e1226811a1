/**
 * libp2p calls `Promise.withResolvers`, which Node 22 has and Node 20 has not. Import this before anything of libp2p:
 * modules are run in the order in which they are imported.
 */
if (!('withResolvers' in Promise)) {
  Object.defineProperty(Promise, 'withResolvers', {
    configurable: true,
    writable: true,
    value: function withResolvers (this: PromiseConstructor) {
      let resolve, reject
      const promise = new this((...settle) => { [resolve, reject] = settle })
      return { promise, resolve, reject }
    }
  })
}
