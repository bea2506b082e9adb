import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { ScriptedAsker } from '../../../test/fakes/scripted-asker.ts'
import { type WalkedAnswer, WalkedNode, type WalkedState } from '../../../test/fakes/walked-node.ts'
import { systemClock } from '../../lib/clock.ts'
import { runWizard } from './command.ts'
import { menuOf } from './menu.ts'

/**
 * Every walk that was recorded through the menu of the Go node's wizard, through ours: after the same answers the same calls with
 * the same parameters, or better ones, and which defect they avoid. A walk that no rule names must be the same.
 */

type Role = 'O' | 'G' | 'R' | 'W' | 'T' | 'fO' | 'fG'

interface Walk {
  readonly n: number
  readonly role: Role
  readonly item: string
  readonly state?: string
  readonly answers?: readonly string[]
  /** The last line of what was shown before each answer. */
  readonly prompts?: readonly string[]
  /** With the status of each answer. */
  readonly calls: readonly string[]
  readonly prints?: string
  readonly ends?: string
  readonly node?: WalkedState
}

const { menus, walks } = JSON.parse(
  readFileSync(new URL('../../../test/vectors/wizard.json', import.meta.url), 'utf8'),
) as { menus: Readonly<Record<Role, readonly string[]>>; walks: readonly Walk[] }

let node: WalkedNode
before(async () => {
  node = await WalkedNode.start()
})
after(() => node[Symbol.asyncDispose]())

/** What our wizard did in a walk, from the menu to the menu. */
interface Walked {
  readonly calls: readonly string[]
  readonly asked: readonly string[]
  readonly refusals: readonly string[]
  /** Answers that were not asked for. */
  readonly left: readonly string[]
}

/** Walks through one node, one after the other; a wizard that ends is started again for the next one. */
async function walkedAt(role: Role, todo: readonly Walk[]): Promise<ReadonlyMap<Walk, Walked>> {
  const done = new Map<Walk, Walked>()
  node.isOrchestrator = role === 'O' || role === 'fO'
  node.isRedeemer = role === 'R'
  node.isOffchain = ['T', 'fO', 'fG'].includes(role)
  // A Go node does not tell that it is a reward service: this is what ours adds.
  node.ownStatus = role === 'W' ? { roles: ['reward'] } : {}
  while (done.size < todo.length) {
    let said = ''
    let current: Walk | null = null
    const finish = () => {
      if (current) {
        const { asked, left, refusals } = asker
        done.set(current, { calls: [...node.calls], asked: [...asked], refusals: [...refusals], left })
      }
      current = null
    }
    const asker = new ScriptedAsker([], ({ text }) => {
      if (text !== 'Number of the item') return
      finish()
      current = todo[done.size] ?? null
      if (current) prepare(current)
      asker.give(current ? [choiceFor(current, said), ...(current.answers ?? [])] : ['^C'])
      asker.refusals.length = 0
      asker.asked.length = 0
      node.calls.length = 0
    })
    const write = (text: string) => {
      said += text
    }
    await runWizard(
      {
        argv: ['-host', '127.0.0.1', '-http', String(node.port), '-yes'],
        ...{ variables: {}, readText: () => null, asker: () => asker, version: '1', clock: systemClock },
        ...{ write, writeError: write },
      },
      new AbortController().signal,
    )
    finish()
  }
  return done
}

function prepare({ calls, node: state = {}, prints = '' }: Walk): void {
  node.state = state
  node.changes = Object.fromEntries(calls.flatMap((call) => changeOf(call, prints)))
}

/** What is entered at the menu that was shown last. */
function choiceFor({ item }: Walk, said: string): string {
  const menu = /^\(choice "(.*)"\)$/.exec(item)
  if (menu) return menu[1]!
  const lines = said.split('\n').map((line) => /^ *(\d+)\. (.*)$/.exec(line))
  return lines.findLast((line) => line?.[2] === item)?.[1] ?? 'none'
}

/** What a change was answered: the refusal is told in what the wizard printed. */
function changeOf(call: string, prints: string): [string, WalkedAnswer][] {
  const [, path, status] = /^(?:POST|GET) (\S+)(?: .*)? -> (\d+|connection closed)$/.exec(call) ?? []
  if (path === undefined || status === '200') return []
  if (status === 'connection closed') return [[path, 'dropped']]
  const told = /^Error [^:]*: (.*)$/s.exec(prints)?.[1] ?? 'execution reverted: refused'
  return [[path, [Number(status), `${told.trim()}\n`]]]
}

const isChange = (call: string) => call.startsWith('POST ') || call.startsWith('GET /reward')
const changesIn = (calls: readonly string[]) =>
  calls.map((call) => call.replace(/ -> .*$/, '')).filter(isChange)
const readsIn = (calls: readonly string[]) =>
  new Set(calls.map((call) => call.replace(/ -> .*$/, '')).filter((call) => !isChange(call)))

/** What ours reads beyond what was recorded: whether the node describes its calls, and what answers are checked against. */
const FURTHER_READS = new Set([
  ...['GET /openapi.json', 'GET /status', 'GET /delegatorInfo', 'GET /ethBalance', 'GET /ethAddr'],
  ...['GET /orchestratorInfo', 'GET /getBroadcastConfig'],
])

interface Better {
  readonly why: string
  /** The changes that ours makes in place of those recorded. */
  readonly changes: readonly string[]
  /** Recorded reads that ours has no use for. */
  readonly without?: readonly string[]
}
type Verdict = Better | { readonly out: string } | null

interface Rule {
  readonly has: (walk: Walk) => boolean
  readonly verdict: Exclude<Verdict, null>
}

const is = (item: string, ...roles: Role[]) => {
  return (walk: Walk) => walk.item.includes(item) && (roles.length === 0 || roles.includes(walk.role))
}
const offchain = (...items: string[]) => {
  return (walk: Walk) =>
    ['T', 'fO', 'fG'].includes(walk.role) && items.some((item) => walk.item.includes(item))
}
const stateHas = (item: string, words: RegExp) => (walk: Walk) =>
  walk.item.includes(item) && words.test(walk.state ?? '')
const nothing = (why: string, ...without: string[]): Better => ({ why, changes: [], without })

const RULES: readonly Rule[] = [
  { has: is('Set max price per capability'), verdict: { out: 'AI' } },
  { has: is('(choice "")'), verdict: nothing('an empty choice shows the status, as the menu says') },
  {
    has: is('Get node status', 'R', 'W'),
    verdict: nothing(
      'shows the orchestrator that the node works for, not a gateway',
      'GET /senderInfo',
      'GET /getBroadcastConfig',
    ),
  },
  {
    has: offchain('Get node status'),
    verdict: nothing('shows the status of an offchain node instead of an error', 'GET /contractAddresses'),
  },
  {
    has: offchain('"bond"', '"transfer"', 'deposit', 'gas price', 'unlock', 'withdraw broadcasting'),
    verdict: nothing(
      'the first refusal is shown, instead of asking for what an offchain node cannot do',
      ...['GET /tokenBalance', 'GET /currentRound'],
    ),
  },
  {
    has: (walk) =>
      is('Invoke "reward"', 'O', 'R')(walk) && walk.calls.some((call) => call.startsWith('GET /reward')),
    verdict: { why: 'what changes something is never a GET', changes: ['POST /reward'] },
  },
  { has: stateHas('Sign typed data', /not JSON/), verdict: nothing('what is no JSON is not sent') },
  {
    has: stateHas('Set price for broadcaster', /one letter/),
    verdict: nothing('one letter is no address, and ends nothing'),
  },
  {
    has: stateHas('Set price for broadcaster', /price malformed/),
    verdict: nothing('a malformed price is asked for again'),
  },
  {
    has: stateHas('Set maximum sessions', /negative/),
    verdict: nothing('a negative number is asked for again'),
  },
  {
    has: (walk) => is('withdraw fees', 'O', 'G', 'R', 'W')(walk) && walk.node?.fees === '0',
    verdict: nothing('no transaction is paid for to withdraw nothing'),
  },
  {
    has: stateHas('"transfer"', /refused/),
    verdict: nothing('a short recipient is refused, instead of padded and paid'),
  },
  {
    has: (walk) => is('deposit', 'W')(walk),
    verdict: nothing('a reward service has the menu of an orchestrator, not of a gateway', 'GET /senderInfo'),
  },
]

const ACTIVE = 'blockRewardCut=20&currency=Wei&feeShare=20&pixelsPerUnit=1&pricePerUnit=3000000000'
const URI = 'serviceURI=https%3A%2F%2F127.0.0.1%3A9034'
const CURRENT = 'an empty answer keeps what is set, instead of giving the work away for nothing'
const MALFORMED = 'what is malformed is asked for again, instead of sent or replaced by a default'
const WHOLE = 'the stake counts with its rewards, of which none is left behind'
const NO_STAKE = 'where nothing is bonded, nothing is asked for ever'
const NOWHERE = 'an empty address is not registered as https://:8935'

/** Single walks, by number. */
const SINGLE: Readonly<Record<number, Better>> = {
  14: {
    why: CURRENT,
    changes: [
      'POST /setPriceForBroadcaster broadcasterEthAddr=default&currency=Wei&pixelsPerUnit=1&pricePerUnit=3000000000',
    ],
  },
  25: nothing(NO_STAKE),
  32: nothing(NOWHERE),
  33: nothing('a number that is not in the list is no orchestrator, instead of the zero address'),
  35: nothing('nothing is sent to bond nothing'),
  41: { why: WHOLE, changes: ['POST /unbond amount=252637337097569678740'] },
  42: { why: WHOLE, changes: ['POST /unbond amount=252637337097569678740'] },
  46: { why: WHOLE, changes: ['POST /unbond amount=227798749339765437930'] },
  50: { why: CURRENT, changes: [`POST /activateOrchestrator ${ACTIVE}&${URI}`] },
  51: { why: CURRENT, changes: [`POST /setOrchestratorConfig ${ACTIVE}&${URI}`] },
  53: nothing(MALFORMED),
  59: { why: WHOLE, changes: ['POST /unbond amount=639884966114770703526'] },
  61: nothing(NO_STAKE),
  101: {
    why: 'an empty answer keeps the highest price, instead of paying any',
    changes: [
      'POST /setBroadcastConfig currency=Wei&maxPricePerUnit=1000000000000&pixelsPerUnit=1&transcodingOptions=P144p30fps16x9',
    ],
  },
  105: nothing(MALFORMED),
  135: nothing(CURRENT),
  147: nothing(NOWHERE),
  148: nothing(NOWHERE, 'GET /unbondingLocks'),
  189: nothing(CURRENT),
}

function verdictOn(walk: Walk): Verdict {
  return SINGLE[walk.n] ?? RULES.find(({ has }) => has(walk))?.verdict ?? null
}

/** The words of a prompt that a script waits for: without its default, its range and what it says about the answer before. */
function wordsOf(prompt: string): string {
  const [words] = prompt.split(/ *\(|(?: -|->|>)/, 1)
  const isAgain = /^(Must enter|Enter \(y\)es)/.test(prompt)
  // The faucet that it names is gone.
  return isAgain || prompt.includes('Rinkeby') ? '' : words!.trim()
}

/** How a walk differs from the recorded one beyond its verdict; null where it does not. */
function faultOf(walk: Walk, { asked, calls, left, refusals }: Walked): string | null {
  const verdict = verdictOn(walk)
  if (verdict && 'out' in verdict) return null
  const expected = verdict?.changes ?? changesIn(walk.calls)
  const changes = changesIn(calls)
  const told = `${walk.n} ${walk.role} ${walk.item} (${walk.state}):`
  if (changes.join('\n') !== expected.join('\n')) {
    return `${told} sends ${JSON.stringify(changes)}, not ${JSON.stringify(expected)}; ${refusals.join('; ')}`
  }
  const [ours, theirs] = [readsIn(calls), readsIn(walk.calls)]
  for (const skipped of verdict?.without ?? []) theirs.delete(skipped)
  const missed = [...theirs].filter((read) => !ours.has(read))
  if (missed.length > 0) return `${told} does not read ${missed}`
  if (verdict) return null
  const more = [...ours].filter((read) => !theirs.has(read) && !FURTHER_READS.has(read))
  if (more.length > 0) return `${told} reads ${more}`
  const unasked = (walk.prompts ?? [])
    .map(wordsOf)
    .filter((words) => !asked.some((text) => text.includes(words)))
  if (unasked.length > 0) return `${told} does not ask ${JSON.stringify(unasked)}`
  return left.length > 0 && walk.ends === undefined ? `${told} leaves ${JSON.stringify(left)}` : null
}

test('every recorded walk sends the same, or what its verdict says', async (t) => {
  assert.equal(walks.length, 268)
  const faults: string[] = []
  const counts = new Map<string, number>()
  for (const role of Object.keys(menus) as Role[]) {
    const ofRole = walks.filter((walk) => walk.role === role)
    for (const [walk, done] of await walkedAt(role, ofRole)) {
      const verdict = verdictOn(walk)
      const name =
        verdict === null ? 'same' : 'out' in verdict ? `out: ${verdict.out}` : `better: ${verdict.why}`
      counts.set(name, (counts.get(name) ?? 0) + 1)
      const fault = faultOf(walk, done)
      if (fault !== null) faults.push(fault)
    }
  }
  for (const [name, count] of counts) t.diagnostic(`${count} ${name}`)
  assert.deepEqual(faults, [])
})

test('the menu of each node has the recorded items, in their order', () => {
  const ofRole = (role: Role) => ({
    isOrchestrator: role === 'O' || role === 'fO',
    isRedeemer: role === 'R',
    isRewardService: role === 'W',
    chainId: ['T', 'fO', 'fG'].includes(role) ? 0n : 54_321n,
  })
  for (const [role, titles] of Object.entries(menus) as [Role, readonly string[]][]) {
    const ours = menuOf(ofRole(role)).map(({ title }) => title)
    if (role !== 'W') assert.deepEqual(ours, titles, role)
  }
  // The Go node gives a reward service the menu of a gateway.
  const work = ['Set max ticket face value', 'Set price for broadcaster', 'Set maximum sessions']
  const expected = menus.O.filter((title) => !work.includes(title))
  assert.deepEqual(
    menuOf(ofRole('W')).map(({ title }) => title),
    expected,
  )
})
