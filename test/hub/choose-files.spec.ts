import { expect } from 'chai'
import { chooseFiles, shardsOf } from '../../src/hub/choose-files.js'
import type { RemoteFile } from '../../src/hub/repository.js'

function listed (...names: string[]): { name: string, files: RemoteFile[] } {
  return { name: 'acme/tiny', files: names.map(name => ({ name, size: 1, checksum: { kind: 'git', value: '0' } })) }
}

describe('chooseFiles', () => {
  const small = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'special_tokens_map.json', 'preprocessor_config.json']

  function chosen (...names: string[]): string[] {
    return chooseFiles(listed(...names)).files.map(({ name }) => name).sort()
  }

  it('takes what a model needs, and nothing of other libraries', () => {
    const others = ['README.md', '.gitattributes', 'pytorch_model.bin', 'tf_model.h5', 'flax_model.msgpack', 'model.gguf', 'model.onnx', 'consolidated.safetensors', 'vocab.json', 'tokenizer.model']
    expect(chosen(...others, ...small, 'model.safetensors')).to.deep.equal([...small, 'model.safetensors'].sort())
    expect(chosen('config.json', 'model.safetensors')).to.deep.equal(['config.json', 'model.safetensors'])
  })

  it('takes the one file where there are shards too, and the index where there is no such file', () => {
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors', 'model.safetensors.index.json']
    expect(chosen('config.json', 'model.safetensors', ...shards)).to.deep.equal(['config.json', 'model.safetensors'])
    const { kind, files, index } = chooseFiles(listed('config.json', ...shards))
    expect(kind).to.equal('model')
    expect(files.map(({ name }) => name)).to.deep.equal(['config.json', 'model.safetensors.index.json'])
    expect(index).to.equal(files[1])
  })

  it('takes an adapter where there is no model', () => {
    const adapter = ['adapter_config.json', 'adapter_model.safetensors']
    expect(chooseFiles(listed(...adapter)).kind).to.equal('adapter')
    expect(chosen(...adapter, 'adapter_model.bin', 'tokenizer.json')).to.deep.equal([...adapter, 'tokenizer.json'])
    expect(chooseFiles(listed(...adapter, 'config.json', 'model.safetensors')).kind).to.equal('model')
  })

  it('says what is there where it cannot be used', () => {
    for (const [names, said] of [
      [['config.json', 'pytorch_model.bin', 'model.gguf'], 'of pytorch_model.bin, model.gguf we read nothing'],
      [['config.json'], 'neither model.safetensors'],
      [['adapter_config.json', 'adapter_model.bin'], 'adapter_model.bin'],
      [['adapter_model.safetensors'], 'adapter_config.json'],
      [['model.safetensors'], 'no config.json'],
      [[], 'neither']
    ] as const) {
      expect(() => chooseFiles(listed(...names))).to.throw(said).with.property('name', 'InvalidModelError')
    }
  })
})

describe('shardsOf', () => {
  const repository = listed('a.safetensors', 'b.safetensors', 'c.safetensors')

  it('gives each shard that the index names, once', () => {
    const index = JSON.stringify({ metadata: {}, weight_map: { x: 'b.safetensors', y: 'a.safetensors', z: 'b.safetensors' } })
    expect(shardsOf(index, repository).map(({ name }) => name)).to.deep.equal(['a.safetensors', 'b.safetensors'])
  })

  it('refuses an index that is none, and shards that are not there or lie elsewhere', () => {
    for (const index of ['', '{}', '[]', 'null', '{"weight_map": []}', '{"weight_map": {"x": 1}}', ...['d.safetensors', '../../evil', '/etc/passwd', '__proto__'].map(shard => JSON.stringify({ weight_map: { x: shard } }))]) {
      expect(() => shardsOf(index, repository), index).to.throw().with.property('name', 'InvalidModelError')
    }
  })
})
