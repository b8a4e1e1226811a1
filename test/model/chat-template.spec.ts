import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { turnsOf } from '../../src/data/conversation.js'
import type { Message } from '../../src/data/messages.js'
import { type ChatConfig, createChatTemplate } from '../../src/model/chat-template.js'
import { createTokenizer, loadTokenizer } from '../../src/model/tokenizer.js'
import { EMBEDDED_MODEL } from '../../src/cli/package-root.js'
import { readJson } from '../support/fixtures.js'
import { temporaryFolder } from '../support/temporary-folder.js'

interface Case {
  readonly name: string
  readonly config: ChatConfig
  readonly chats: ReadonlyArray<{ readonly title: string, readonly messages: readonly Message[], readonly open: boolean, readonly text: string }>
}

const HI: readonly Message[] = [{ role: 'user', content: 'Hi' }]
const cases = await readJson('chat-templates.json') as readonly Case[]

function rendered (config: ChatConfig, file?: string): string {
  return createChatTemplate(config, file)!(HI, true)
}

describe('chat template', () => {
  for (const { name, config, chats } of cases) {
    describe(`of ${name}`, () => {
      for (const { title, messages, open, text } of chats) {
        it(`writes ${title}${open ? ', and opens an answer,' : ''} as transformers does`, () => {
          expect(createChatTemplate(config)!(messages, open)).to.equal(text)
        })
      }

      const { messages, text } = chats.find(({ title, open }) => title === 'two answers' && !open)!
      if (name === 'tools') {
        it('ends after the last message only, and cannot be trained on answers', () => {
          expect(() => turnsOf(messages, createChatTemplate(config)!, 'a.jsonl, line 3')).to.throw('a.jsonl, line 3')
            .with.property('name', 'InvalidDataError')
        })
      } else {
        it('cuts conversations into turns that make the whole again', () => {
          const turns = turnsOf(messages, createChatTemplate(config)!, 'here')
          expect(turns.map(({ asked, answer }) => asked + answer).join('')).to.equal(text)
          expect(turns.map(({ answer }) => ['Hello!', 'Grüße'].filter(said => answer.includes(said)))).to.deep.equal([['Hello!'], ['Grüße']])
        })
      }
    })
  }

  it('takes the template named default of several', () => {
    const templates = [{ name: 'tool_use', template: 'no' }, { name: 'default', template: '{{ messages[0].content }}' }]
    expect(rendered({ chat_template: templates })).to.equal('Hi')
  })

  it('prefers the file', () => {
    expect(rendered({ chat_template: 'no', bos_token: '<s>' }, '{{ bos_token + messages[0].content }}')).to.equal('<s>Hi')
  })

  it('takes tokens as text or as their description, and leaves out those that are not set', () => {
    const config = { bos_token: { content: '<s>', lstrip: false }, eos_token: null, add_bos_token: true, chat_template: '{{ bos_token }}{{ eos_token }}{{ add_bos_token }}' }
    expect(rendered(config)).to.equal('<s>')
  })

  it('keeps the line ends and spaces at the beginning', () => {
    expect(rendered({ chat_template: '\n  x' })).to.equal('\n  x')
  })

  it('says the same day every day', () => {
    expect(rendered({ chat_template: '{{ strftime_now("%d %b %Y, %A %Q") }}' })).to.equal('26 Jul 2024, Friday %Q')
    expect(rendered({ chat_template: '{% if strftime_now is defined %}{% set day = strftime_now("%Y-%m-%d") %}{{ day }}{% endif %}' })).to.equal('2024-07-26')
  })

  it('is none where the configuration has none that counts', () => {
    for (const given of [undefined, null, 7, [], [null], [{ name: 'rag', template: 'x' }], [{ name: 'default' }]]) {
      expect(createChatTemplate({ chat_template: given })).to.equal(undefined)
    }
  })

  it('throws when it is used, where it is not valid or does not take the messages', () => {
    for (const template of ['{% if %}', '{{ messages | nothing }}', '{{ raise_exception("Conversation roles must alternate") }}']) {
      const render = createChatTemplate({ chat_template: template })!
      expect(() => render(HI, true)).to.throw()
      expect(() => turnsOf([...HI, { role: 'assistant', content: 'x' }], render, 'a.jsonl, line 3')).to.throw('a.jsonl, line 3')
        .with.property('name', 'InvalidDataError')
    }
  })

  describe('of a tokenizer', () => {
    const folder = temporaryFolder()
    const TOKENIZER = join(EMBEDDED_MODEL, 'tokenizer.json')

    it('comes from tokenizer_config.json', async () => {
      const tokenizer = await readFile(TOKENIZER, 'utf8')
      const config = { eos_token: '</s>', chat_template: '{{ messages[0].content }}{{ eos_token }}' }
      expect(createTokenizer(tokenizer, JSON.stringify(config)).render!(HI, false)).to.equal('Hi</s>')
      expect(createTokenizer(tokenizer)).to.have.property('render', undefined)
    })

    it('comes from chat_template.jinja in a folder', async () => {
      await copyFile(TOKENIZER, join(folder(), 'tokenizer.json'))
      expect(await loadTokenizer(folder())).to.have.property('render', undefined)
      await writeFile(join(folder(), 'chat_template.jinja'), '{{ messages[0].content }}!')
      expect((await loadTokenizer(folder())).render!(HI, false)).to.equal('Hi!')
    })

    it('is none in the embedded model, which has seen no conversations', async () => {
      expect(await loadTokenizer(EMBEDDED_MODEL)).to.have.property('render', undefined)
    })
  })
})
