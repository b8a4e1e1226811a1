/** The import rules of docs/architecture.md: data flows one way, a folder imports only from below. */
const siblings = ['protocols', 'merge', 'gl', 'model', 'data']

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, pathNot: ['\\.d\\.ts$'] }, to: {} },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'cli-is-the-top',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/cli' },
      to: { path: '^src/cli' }
    },
    {
      name: 'node-is-above-the-siblings',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/(cli|node|index\\.ts)' },
      to: { path: '^src/(node|index\\.ts)' }
    },
    ...siblings.map(name => ({
      name: `${name}-knows-no-sibling`,
      severity: 'error',
      from: { path: `^src/${name}/` },
      to: { path: `^src/(${siblings.filter(other => other !== name).join('|')})/` }
    })),
    {
      name: 'engine-tensor-and-metrics-are-the-floor',
      severity: 'error',
      from: { path: '^src/(engine|tensor|metrics)/' },
      to: { path: `^src/(cli|node|${siblings.join('|')})/` }
    },
    {
      name: 'metrics-are-plain-arithmetic',
      severity: 'error',
      from: { path: '^src/metrics/' },
      to: { path: '^(?!src/(metrics/|types\\.ts|errors\\.ts))' }
    },
    {
      name: 'the-hub-stands-apart',
      comment: 'only the command line downloads',
      severity: 'error',
      from: { path: '^src/(?!cli/|hub/)' },
      to: { path: '^src/hub/' }
    },
    {
      name: 'the-hub-is-files-and-bytes',
      severity: 'error',
      from: { path: '^src/hub/' },
      to: { path: '^src/(?!hub/|tensor/|(types|errors|files)\\.ts)' }
    },
    {
      name: 'types-and-errors-are-below-all',
      severity: 'error',
      from: { path: '^src/(types|errors|job|places|auxiliary-spec)\\.ts' },
      to: { path: '^src/(?!types|errors)' }
    },
    {
      name: 'mathematics-never-sees-libp2p',
      severity: 'error',
      from: { path: '^src/(model|gl|merge|engine|tensor|data|hub)/' },
      to: { path: 'node_modules/(libp2p|@libp2p|@multiformats|@chainsafe)/' }
    },
    {
      name: 'the-wire-never-sees-tensorflow',
      severity: 'error',
      from: { path: '^src/(protocols|merge|tensor|data|hub)/' },
      to: { path: 'node_modules/@tensorflow/' }
    },
    {
      name: 'one-libp2p-node',
      comment: 'createLibp2p is called in one place',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/node/mesh\\.ts' },
      to: { path: 'node_modules/libp2p/' }
    }
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] }
  }
}
