import { expect } from 'chai'
import { turnsOf } from '../../src/data/conversation.js'
import type { Message } from '../../src/data/messages.js'
import type { RenderChat } from '../../src/types.js'

const SOURCE = 'chat.jsonl, line 4'
const TWO: readonly Message[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: '1?' }, { role: 'assistant', content: 'one' },
  { role: 'user', content: '2?' }, { role: 'assistant', content: 'two' }
]
const render: RenderChat = (messages, open) => messages.map(({ role, content }) => `<${role}>${content}\n`).join('') + (open ? '<assistant>' : '')

describe('data: conversations', () => {
  it('cuts where the model begins to answer, and where its answer ends', () => {
    expect(turnsOf(TWO, render, SOURCE)).to.deep.equal([
      { asked: '<system>Be brief.\n<user>1?\n<assistant>', answer: 'one\n' },
      { asked: '<user>2?\n<assistant>', answer: 'two\n' }
    ])
  })

  it('gives every character of the conversation to one turn, in order', () => {
    const joined = turnsOf(TWO, render, SOURCE).map(({ asked, answer }) => asked + answer).join('')
    expect(joined).to.equal(render(TWO, false))
  })

  it('takes two answers in a row, and one at the beginning', () => {
    const answers = [TWO[2], TWO[4]]
    expect(turnsOf(answers, render, SOURCE)).to.deep.equal([{ asked: '<assistant>', answer: 'one\n' }, { asked: '<assistant>', answer: 'two\n' }])
  })

  it('counts what the template writes before an answer, where it opens none', () => {
    const unopened: RenderChat = messages => render(messages, false)
    expect(turnsOf(TWO.slice(0, 3), unopened, SOURCE)).to.deep.equal([{ asked: '<system>Be brief.\n<user>1?\n', answer: '<assistant>one\n' }])
  })

  describe('refuses, naming the source, a template that', () => {
    const refused: Array<[what: string, render: RenderChat, part: string]> = [
      ['opens an answer otherwise than it shows it', (messages, open) => render(messages, false) + (open ? '<think>' : ''), 'message 3'],
      ['shows an answer otherwise once it is not the last', (messages, open) => render(messages, open).replace(/(?<=<assistant>)one(?!\n$)/, '1'), 'message 5'],
      ['ends after the last message only', (messages, open) => render(messages, open) + (open ? '' : '<end>'), 'message 5'],
      ['does not show answers', messages => render(messages.filter(({ role }) => role === 'user'), false), 'message 3'],
      ['throws', () => { throw new Error('roles must alternate') }, 'roles must alternate']
    ]
    for (const [what, template, part] of refused) {
      it(what, () => {
        expect(() => turnsOf(TWO, template, SOURCE)).to.throw().with.property('name', 'InvalidDataError')
        expect(() => turnsOf(TWO, template, SOURCE)).to.throw(SOURCE).with.property('message').that.includes(part)
      })
    }
  })
})
