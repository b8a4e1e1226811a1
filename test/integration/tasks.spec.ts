import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import sharp from 'sharp'
import { drawGlyph } from '../../scripts/glyphs/draw.js'
import { runCli } from '../cli/run-cli.js'
import { seeded } from '../merge/random.js'
import { writeModel } from '../model/random-model.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES } from '../support/fixtures.js'
import { reportOf, Scene } from './scene.js'

describe('every task', function () {
  this.timeout(240_000)
  let scene: Scene

  before(async () => { scene = await Scene.open() })
  after(async () => { await scene.close() })

  /** The JSON report of a command that ends well. */
  async function reported (...args: string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await runCli([...args, '--json'])
    expect(code, stderr).to.equal(0)
    return JSON.parse(stdout) as Record<string, unknown>
  }

  async function withTokenizer (model: string, kind: string): Promise<void> {
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(FIXTURES, 'tokenizers', kind, name), join(model, name))
  }

  for (const [name, wire] of [['bert-odd', 'auto'], ['roberta-regression', 'f32'], ['t5', 'f32'], ['vit', 'auto'], ['cnn', 'f32']]) {
    it(`gives the losses at a host that it gives in one process: ${name}, wire ${wire}`, async () => {
      const model = join(FIXTURES, name)
      const settings = ['--model', model, '--batch', join(model, 'batch.safetensors'), '--steps', '4', '--lr', '0.01', '--sites', 'all-linear', '--wire', wire, '--job', name]
      const host = scene.host(`host-${name}`, '--model', model)
      const [remote, local] = [await reportOf(scene.train(`trainer-${name}`, ...settings)), await reportOf(scene.local(`local-${name}`, ...settings))]
      host.process.kill('SIGTERM')
      await host.ended
      expect(remote.peer).to.be.a('string')
      expect(remote.wire).to.equal(local.wire)
      expect(remote.losses).to.have.lengthOf(4)
      expect(remote.losses[3]).to.be.below(remote.losses[0])
      expect(relativeError(remote.losses, local.losses)).to.be.below(1e-5)
    })
  }

  it('classifies texts that it learned to tell apart from a .csv file', async () => {
    const model = join(scene.folder, 'classifier')
    await writeModel(model, {
      model_type: 'bert',
      vocab_size: 1305,
      hidden_size: 24,
      intermediate_size: 32,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      max_position_embeddings: 32,
      id2label: { 0: 'bad', 1: 'good' }
    }, seeded(3))
    await withTokenizer(model, 'bert-uncased')
    const rows = Array.from({ length: 24 }, (_, i) => `${i % 2 === 0 ? 'what a fine day' : 'no no no'} ${i},${i % 2 === 0 ? 'good' : 'bad'}`)
    const [data, others] = [join(scene.folder, 'rows.csv'), join(scene.folder, 'others.jsonl')]
    await writeFile(data, ['text,label', ...rows].join('\n'))
    await writeFile(others, ['{"text": "what a fine day 90", "label": 1}', '{"text": "no no no 91", "label": "bad"}', '{"text": "no no no 92", "label": 0}'].join('\n'))
    const out = join(scene.folder, 'classifier-adapter')
    const { heldOut } = await reportOf(scene.local('classifier', '--model', model, '--data', data, '--sites', 'query,value,classifier', '--steps', '30', '--lr', '0.02', '--group-by-length', '--out', out))
    expect(heldOut.adapted).to.be.below(heldOut.base!)
    const { trainers, ...all } = await reported('eval', '--model', model, '--data', data, others, '--adapter', out)
    expect(all).to.include({ rows: 27, tokens: 27, accuracy: 1, f1: 1, matthews: 1 })
    expect(all).to.not.have.property('perplexity')
    expect(trainers).to.have.lengthOf(2)
    expect((trainers as object[])[1]).to.include({ data: others, adapter: out, rows: 3, accuracy: 1 })
  })

  it('names file and line of a row with a label that the model has not', async () => {
    const model = join(scene.folder, 'classifier')
    const data = join(scene.folder, 'wrong.csv')
    await writeFile(data, 'text,label\nfine,good\nfine,superb\n')
    const { code, stderr } = await runCli(['eval', '--model', model, '--data', data])
    expect(code).to.equal(2)
    expect(stderr).to.include(`${data}, line 3`).and.to.include('superb').and.to.include('bad, good')
  })

  it('scores what it makes of a source against the target', async () => {
    const model = join(scene.folder, 'translator')
    await writeModel(model, {
      model_type: 't5',
      vocab_size: 705,
      d_model: 16,
      d_kv: 6,
      d_ff: 24,
      num_layers: 1,
      num_decoder_layers: 1,
      num_heads: 2,
      relative_attention_num_buckets: 8,
      feed_forward_proj: 'relu',
      decoder_start_token_id: 0,
      pad_token_id: 0,
      eos_token_id: 1
    }, seeded(5))
    await withTokenizer(model, 't5')
    const { text } = await reported('generate', '--model', model, '--prompt', 'the quick brown fox', '--max-new-tokens', '12')
    const data = join(scene.folder, 'pairs.jsonl')
    await writeFile(data, [{ source: 'the quick brown fox', target: text }, { source: 'the quick brown fox', target: 'something else' }].map(row => JSON.stringify(row)).join('\n'))
    const whole = await reported('eval', '--model', model, '--data', data, '--max-new-tokens', '12')
    expect(whole.rows).to.equal(2)
    expect(whole.perplexity).to.be.closeTo(Math.exp(whole.loss as number), 1e-6)
    const first = await reported('eval', '--model', model, '--data', data, '--max-new-tokens', '12', '--max-rows', '1')
    expect(first.rougeL).to.equal(1)
    expect(whole.rougeL).to.be.within(0.5, 0.75)
    const { losses } = await reportOf(scene.local('translator', '--model', model, '--data', data, '--held-out', '0', '--steps', '20', '--lr', '0.02'))
    expect(losses.at(-1)).to.be.below(losses[0])
  })

  it('learns images from folders by class, from a random start', async () => {
    const [images, model] = [join(scene.folder, 'images'), join(scene.folder, 'cnn')]
    const random = seeded(7)
    for (const kind of [0, 1]) {
      await mkdir(join(images, String(kind)), { recursive: true })
      for (let i = 0; i < 12; i++) {
        await sharp(drawGlyph(kind, 12, random, 0.1), { raw: { width: 12, height: 12, channels: 1 } }).png().toFile(join(images, String(kind), `${i}.png`))
      }
    }
    await reported('init', '--config', JSON.stringify({ model_type: 'cnn-classifier', num_channels: 1, image_size: 12, num_labels: 2, conv_channels: [8, 16] }), '--out', model)
    const out = join(scene.folder, 'cnn-adapter')
    await reportOf(scene.local('cnn', '--model', model, '--data', images, '--aux', 'linear', '--steps', '80', '--lr', '0.05', '--held-out', '0', '--out', out))
    const { accuracy } = await reported('eval', '--model', model, '--data', images)
    const trained = await reported('eval', '--model', model, '--data', images, '--adapter', out)
    expect(accuracy).to.be.below(0.9)
    expect(trained.accuracy).to.be.above(0.95)
  })
})
