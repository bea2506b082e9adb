import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { FastClock } from '../../../test/fakes/fast-clock.ts'
import { ScriptedAsker } from '../../../test/fakes/scripted-asker.ts'
import { WalkedNode, type WalkedState } from '../../../test/fakes/walked-node.ts'
import { type Asker, LineAsker } from './asker.ts'
import { runWizard } from './command.ts'

const ACCOUNT = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
const OTHER = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const LPT = 10n ** 18n
const quick = new FastClock(20)

let node: WalkedNode
before(async () => {
  node = await WalkedNode.start()
})
after(() => node[Symbol.asyncDispose]())
afterEach(() => {
  Object.assign(node, {
    state: {},
    reads: {},
    changes: {},
    ownStatus: {},
    isOrchestrator: false,
    isRedeemer: false,
  })
})

/** A description of the API in which these calls can be tried out. */
function described(...paths: string[]): readonly [number, string] {
  const properties = { dryRun: {}, details: {} }
  const content = { 'application/x-www-form-urlencoded': { schema: { properties } } }
  const operations = paths.map((path) => [path, { post: { requestBody: { content } } }])
  return [200, JSON.stringify({ paths: Object.fromEntries(operations) })]
}

async function run(answers: readonly string[] | Asker, flags: readonly string[] = [], signal?: AbortSignal) {
  let out = ''
  let errors = ''
  node.calls.length = 0
  const asker = 'line' in answers ? answers : new ScriptedAsker(answers)
  const code = await runWizard(
    {
      argv: ['-host', '127.0.0.1', '-http', String(node.port), ...flags],
      ...{ variables: {}, readText: () => null, asker: () => asker, version: '1.2.3', clock: quick },
      write: (text) => {
        out += text
      },
      writeError: (text) => {
        errors += text
      },
    },
    signal ?? new AbortController().signal,
  )
  return { code, out, errors, changes: node.calls.filter((call) => call.startsWith('POST ')) }
}

const TRANSFER = '10'
const funded: WalkedState = { lpt: (100n * LPT).toString(), eth: (5n * LPT).toString() }

test('nothing is sent before it is shown and confirmed', async () => {
  node.state = { ...funded, pool: [{ address: OTHER, stake: '1' }] }
  const refused = await run(['5', '0', '2.5 LPT', 'n'])
  assert.deepEqual(refused.changes, [])
  assert.match(
    refused.out,
    /amount: 2\.5 LPT \(2500000000000000000 LPTU\)\n +to: 0x70997970C51812dc3A010C7d01b50e0d17dc79C8\n/,
  )
  assert.match(refused.out, /Nothing was sent\./)
  const sent = await run(['5', '0', '2.5 LPT', 'y'])
  assert.deepEqual(sent.changes, [`POST /bond amount=2500000000000000000&toAddr=${OTHER}`])
})

test('the end of the input before the confirmation sends nothing', async () => {
  node.state = funded
  const { changes, code, errors } = await run([TRANSFER, OTHER, '7'])
  assert.deepEqual([changes, code], [[], 1])
  assert.match(errors, /the input has ended: nothing was sent/)
})

test('Ctrl-C at a question ends the wizard with 130, and sends nothing', async () => {
  node.state = funded
  const { changes, code } = await run([TRANSFER, OTHER, '7', '^C'])
  assert.deepEqual([changes, code], [[], 130])
})

test('a script is read line by line, and its first line that is no answer ends it', async () => {
  node.state = funded
  const piped = (text: string) => {
    const input = (async function* () {
      yield text
    })()
    return new LineAsker(input, () => {}, new AbortController().signal)
  }
  const wrong = await run(piped(`${TRANSFER}\n0x12\n${OTHER}\n7\ny\n`))
  assert.deepEqual([wrong.changes, wrong.code], [[], 1])
  assert.match(
    wrong.errors,
    /"0x12" is not an address: .*nothing was sent for this item, and nothing more is read/,
  )
  const right = await run(piped(`${TRANSFER}\n${OTHER}\n7\ny\n4\n99\n`), ['-yes'])
  assert.deepEqual(right.changes, [`POST /transferTokens amount=7&to=${OTHER}`, 'POST /initializeRound'])
  assert.equal(right.code, 1)
  assert.match(right.errors, /"99" is no item: enter a number from 1 to 23/)
  const ended = await run(piped('\n'))
  assert.deepEqual([ended.changes, ended.code], [[], 0])
})

test('a node that does not say that it tries out is never asked to: it would send', async () => {
  node.state = funded
  const { changes, out } = await run([TRANSFER, OTHER, '7', 'n'])
  assert.deepEqual(changes, [])
  assert.match(out, /The node will be asked for \/transferTokens; it does not tell what gas may cost/)
})

test('what a node would send is shown as it simulates it: contract, arguments, the most that gas costs', async () => {
  node.state = funded
  node.reads = { '/openapi.json': described('/transferTokens') }
  const worded = {
    ...{ contract: 'LivepeerToken', address: ACCOUNT, method: 'transfer', about: 'sends 7 LPTU' },
    ...{ args: [{ name: 'to', value: OTHER, words: OTHER }], valueWei: '0' },
  }
  const gas = { gas: '100000', maxFeePerGas: '1000000000', maxPriorityFeePerGas: '1' }
  const cost = { maxCostWei: '100000000000000', maxCost: '0.0001 ETH' }
  const transaction = { nonce: 3, to: ACCOUNT, data: '0x', value: '0', ...gas }
  const call = { ...worded, ...cost, purpose: 'transfer', transaction, open: null }
  const steps = [{ step: null, isDone: false, call }]
  const plan = { dryRun: true, chainId: '54321', from: ACCOUNT, ...cost, steps }
  const mined = { ...worded, hash: '0xabc', block: '12', feeWei: '1000000000000000' }
  const details = { dryRun: false, steps: [{ step: null, isDone: false, call: mined }] }
  node.changes = { '/transferTokens': [200, JSON.stringify(plan)] }
  const asker = new ScriptedAsker([TRANSFER, OTHER, '7', 'y'], ({ text }) => {
    if (text.startsWith('Are you sure')) node.changes = { '/transferTokens': [200, JSON.stringify(details)] }
  })
  const { changes, out } = await run(asker)
  assert.deepEqual(changes, [
    `POST /transferTokens amount=7&dryRun=true&to=${OTHER}`,
    `POST /transferTokens amount=7&details=true&to=${OTHER}`,
  ])
  for (const words of [
    /simulated what it would send:\n {2}sends 7 LPTU\n +calls LivepeerToken\.transfer at 0x90F7\w+\n +to: 0x7099\w+\n/,
    /costs at most 0\.0001 ETH of gas\n {2}one transaction of 0x90F7\w+, for at most 0\.0001 ETH of gas\n/,
    /sends 7 LPTU\n {2}mined in block 12 as 0xabc, for 0\.001 ETH of gas\n/,
  ]) {
    assert.match(out, words)
  }
})

test('what a node tells of its sending in another form is not taken for anything', async () => {
  node.state = funded
  node.reads = { '/openapi.json': described('/transferTokens') }
  node.changes = { '/transferTokens': [200, '{"dryRun":true}'] }
  const { changes, out } = await run([TRANSFER, OTHER, '7', 'y'])
  assert.deepEqual(changes, [`POST /transferTokens amount=7&dryRun=true&to=${OTHER}`])
  assert.match(out, /Failed: the node tells what it sends in a form that is not known\n/)
})

test('what the node refuses when it is tried out is shown, and not sent', async () => {
  node.state = funded
  node.reads = { '/openapi.json': described('/transferTokens') }
  node.changes = { '/transferTokens': [500, 'execution reverted: paused\n'] }
  const { changes, code, out } = await run([TRANSFER, OTHER, '7', 'y'])
  assert.deepEqual([changes, code], [[`POST /transferTokens amount=7&dryRun=true&to=${OTHER}`], 0])
  assert.match(out, /The node refuses: execution reverted: paused\n/)
})

test('a lost answer does not mean that nothing was sent, and says so', async () => {
  node.state = funded
  node.changes = { '/transferTokens': 'dropped' }
  const { out } = await run([TRANSFER, OTHER, '7', 'y'])
  assert.match(out, /no answer to \/transferTokens: .*It may have been sent all the same/)
})

test('stake is not moved at a node that would take it from the balance once more', async () => {
  node.state = {
    ...funded,
    bonded: '5',
    pending: '5',
    delegate: ACCOUNT,
    pool: [{ address: OTHER, stake: '1' }],
  }
  const { changes, out } = await run(['5', '0', '1', 'y'])
  assert.deepEqual(changes, [])
  assert.match(out, /5 LPTU is bonded to 0x90F7\w+, and this node’s software would take as much again/)
})

test('a node that works for another account’s orchestrator shows it, and sets its price alone', async () => {
  node.isOrchestrator = true
  const Transcoder = {
    ...{
      Address: OTHER.toLowerCase(),
      ServiceURI: 'https://o.example:8935',
      Active: true,
      Status: 'Registered',
    },
    ...{ LastRewardRound: 3, RewardCut: 100000, FeeShare: 500000, DelegatedStake: 7 },
  }
  node.reads = { '/orchestratorInfo': [200, JSON.stringify({ Transcoder, PriceInfo: '1/3' })] }
  const { changes, out } = await run(['13', '', '', '', 'y', '12'])
  assert.match(out, /Orchestrator \(registered\) \| 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 \|/)
  assert.match(out, /\| +Status \| +Registered \|/)
  assert.deepEqual(changes, ['POST /setOrchestratorConfig currency=Wei&pixelsPerUnit=3&pricePerUnit=1'])
  assert.match(
    out,
    /works for the orchestrator 0x7099\w+ with the account 0x90F7\w+: register with the key of/,
  )
})

test('a reward service has the menu of its orchestrator, with reward and without what takes work', async () => {
  node.ownStatus = { roles: ['reward'] }
  const { changes, out } = await run(['11', 'y'])
  assert.deepEqual(changes, ['POST /reward'])
  assert.match(out, /11\. Invoke "reward"\n/)
  assert.doesNotMatch(out, /deposit broadcasting|maximum sessions/)
})

test('transactions that a node sends meanwhile are told, each once', async () => {
  node.state = funded
  const open = { purpose: 'transfer', txHash: '0xfeed', attempts: 1, sentAtMs: 1 }
  let looks = 0
  node.changes = {
    '/initializeRound': () => new Promise((resolve) => setTimeout(() => resolve([200, '']), 400)),
  }
  node.ownStatus = () => (++looks > 3 ? { chain: { transactions: [open] } } : { chain: { transactions: [] } })
  const { out } = await run(['4', 'y'])
  assert.equal(out.match(/transfer: sent, waits to be mined: 0xfeed/g)?.length, 1)
})

test('an interruption while the node works says that it goes on', async () => {
  node.state = funded
  const stop = new AbortController()
  node.changes = {
    '/initializeRound': () => {
      setTimeout(() => stop.abort(), 50)
      return new Promise(() => {})
    },
  }
  const { code, out } = await run(['4', 'y'], [], stop.signal)
  assert.equal(code, 130)
  assert.match(out, /Interrupted while the node works: it goes on with what it was asked/)
})

test('a node that does not answer, or wants a token, ends the wizard with a sentence', async () => {
  node.reads = { '/IsOrchestrator': [401, 'no'] }
  const closed = await run([])
  assert.equal(closed.code, 1)
  assert.match(closed.errors, /the node asks for its -cliToken: give it with -token or LP_CLITOKEN/)
  node.reads = { '/IsOrchestrator': 'dropped' }
  const silent = await run([])
  assert.equal(silent.code, 1)
  assert.match(
    silent.errors,
    /gave no answer to \/IsOrchestrator: .*: name the port of a running node’s control API with -http/,
  )
})

test('flags are those of the Go node’s wizard, and a few more', async () => {
  for (const [flags, code, words] of [
    [['-h'], 0, /^Usage: livepeer_cli/],
    [['--version'], 0, /^livepeer-ts 1\.2\.3\n$/],
    [['-http', 'x'], 2, /-http must be/],
    [['-http', '0'], 2, /-http is a port from 1 to 65535, not 0/],
    [['-htp', '1'], 2, /there is no flag -htp: did you mean -http\?/],
    [['-host', 'a b'], 2, /is not a node address/],
    [['5935'], 2, /5935/],
  ] as const) {
    const asker = new ScriptedAsker([])
    let said = ''
    const write = (text: string) => {
      said += text
    }
    const env = {
      argv: flags,
      variables: {},
      readText: () => null,
      asker: () => asker,
      version: '1.2.3',
      clock: quick,
    }
    const got = await runWizard({ ...env, write, writeError: write }, new AbortController().signal)
    assert.deepEqual([got, words.test(said)], [code, true], `${flags}: ${said}`)
  }
})
