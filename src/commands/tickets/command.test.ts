import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { runTickets } from './command.ts'

const ONE = `0x${'01'.repeat(32)}`
const TWO = `0x${'02'.repeat(32)}`
const NOW = Date.UTC(2026, 10, 25, 12)

const ticket = (id: string, fields = {}) => ({
  ...{ ticket: id, sender: '0xA11ce', recipient: '0xB0b', state: 'open', reason: 'underfunded' },
  ...{
    faceValueWei: '10000000000000000',
    expectedWei: '10000000000000',
    receivedAtMs: NOW,
    updatedAtMs: NOW,
  },
  ...{ creationRound: '3500', expiryBlock: '110', blocksLeft: '10', txHash: null, block: null },
  ...{ paidWei: null, feeWei: null, sessionId: 's1', source: 'paid', receivedBy: '' },
  ...fields,
})

/** A control API that answers `METHOD /path?query body`. */
async function serve(t: TestContext, answers: Readonly<Record<string, unknown>>) {
  const asked: string[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const key = `${request.method} ${request.url}${body && ` ${body}`}`
    asked.push(key)
    const answer = answers[key]
    response.statusCode = answer === undefined ? 409 : 200
    response.end(answer === undefined ? `refused: ${key}\n` : JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { asked, node: String((server.address() as AddressInfo).port) }
}

async function run(argv: string[]) {
  let out = ''
  let err = ''
  const code = await runTickets(
    {
      ...{ argv, variables: {}, readText: () => null, now: () => NOW },
      write: (text) => {
        out += text
      },
      writeError: (text) => {
        err += text
      },
    },
    new AbortController().signal,
  )
  return { code, out, err }
}

test('list asks page after page, and shows each ticket with its reason and its deadline', async (t) => {
  const { asked, node } = await serve(t, {
    'GET /tickets?state=waiting&limit=500': { tickets: [ticket(ONE)], next: '5-0x' },
    'GET /tickets?state=waiting&limit=499&after=5-0x': {
      tickets: [ticket(TWO, { state: 'refused', reason: 'expired', blocksLeft: null })],
      next: null,
    },
  })
  const { code, err, out } = await run(['list', '--node', node, '--state', 'waiting', '--limit', '500'])
  assert.deepEqual([code, err], [0, ''])
  assert.match(out, new RegExp(`^${ONE}\n  2026-11-25 12:00:00Z  0.01 ETH from 0xA11ce: .+, 10 L1 blocks`))
  assert.match(out, new RegExp(`\n${TWO}\n .+\n$`))
  assert.equal(asked.length, 2)
})

test('list writes CSV that a spreadsheet reads, and JSON', async (t) => {
  const odd = ticket(ONE, { reason: 'a "b", c', sessionId: '=1+1' })
  const { node } = await serve(t, { 'GET /tickets?limit=100': { tickets: [odd], next: null } })
  const { out } = await run(['list', '--csv', '--node', node])
  const [names, row] = out.split('\r\n')
  assert.match(names!, /^ticket,gateway,orchestrator,state,reason,/)
  assert.ok(row!.startsWith(`${ONE},0xA11ce,0xB0b,open,"a ""b"", c",10000000000000000,`))
  assert.ok(row!.endsWith(",'=1+1"), 'a text of a peer is no formula')
  const json = JSON.parse((await run(['list', '--json', '--node', node])).out)
  assert.equal(json[0].faceValueWei, '10000000000000000')
})

test('show tells the whole story with its transactions', async (t) => {
  const none = {
    reason: '',
    txHash: null,
    block: null,
    redeemer: null,
    paidWei: null,
    feeWei: null,
    says: null,
  }
  const { node } = await serve(t, {
    [`GET /ticket?ticket=${ONE}`]: {
      ...ticket(ONE, { state: 'redeemed', reason: '', blocksLeft: null }),
      story: [
        { atMs: NOW, node: 'n1', step: 'received', ...none },
        {
          atMs: NOW + 1_000,
          node: 'n1',
          step: 'open',
          ...none,
          reason: 'underfunded',
          says: 'too\u001b[1m little',
        },
        {
          atMs: NOW + 2_000,
          node: 'n1',
          step: 'redeemed',
          ...none,
          txHash: '0x0a',
          block: '9',
          paidWei: '5',
        },
      ],
      transactions: [
        ...[
          {
            account: '0xC0de',
            nonce: 4,
            state: 'mined',
            sentAtMs: NOW,
            txHashes: ['0x0a'],
            feeWei: '7',
            tickets: 2,
          },
        ],
      ],
    },
  })
  const { code, out } = await run(['show', ONE, '--node', node])
  assert.equal(code, 0)
  assert.match(out, /12:00:00Z {2}received: by node n1\n/)
  assert.match(out, /12:00:01Z {2}open: underfunded, by node n1, ".+little"\n/)
  assert.match(out, /12:00:02Z {2}redeemed: in 0x0a, block 9, 5 wei paid, by node n1\n/)
  assert.match(out, /nonce 4 of 0xC0de: mined, 2 tickets, 7 wei for gas\n {4}0x0a\n$/)
  assert.ok(!out.includes('\u001b'))
})

test('retry says that it is tried, or why not', async (t) => {
  const { node } = await serve(t, { [`POST /tickets/retry ticket=${ONE}`]: { ticket: ONE, retried: true } })
  assert.match((await run(['retry', ONE, '--node', node])).out, /is tried again/)
  const { code, err } = await run(['retry', TWO, '--node', node])
  assert.deepEqual([code, err], [1, `127.0.0.1:${node}: refused: POST /tickets/retry ticket=${TWO}\n`])
})

const sums = {
  ...{ ticketsReceived: 3, ticketsWon: 1, ticketsHandedIn: 0, ticketsRedeemed: 1 },
  ...{ expectedWei: '4', receivedParts: '999', wonWei: '5', lowWei: '0', highWei: '9' },
  ...{ handedInWei: '0', redeemedFaceWei: '5', feesWei: '5', redeemGasWei: '2' },
}
const day = {
  ...{ day: '2026-11-25', receivedWei: '4', wonWei: '5', handedInWei: '0', feesWei: '5' },
  ...{ redeemGasWei: '2', rewardGasWei: '1', otherGasWei: '0', netWei: '2' },
}

test('export writes the book of all days, a week at a time', async (t) => {
  const { asked, node } = await serve(t, {
    'GET /ledger?from=2026-11-17&to=2026-11-23': { lines: [], days: [] },
    'GET /ledger?from=2026-11-24&to=2026-11-25': {
      lines: [
        { day: '2026-11-25', sender: '0xA11ce', ...sums },
        { day: '2026-11-25', sender: null, ...sums },
      ],
      days: [day],
    },
  })
  const argv = ['export', '--from', '2026-11-17', '--node', node]
  const { out } = await run([...argv, '--csv'])
  assert.deepEqual(asked.length, 2)
  const lines = out.split('\r\n')
  assert.match(
    lines[0]!,
    /^day,gateway,tickets_received,.*,expected_wei,won_wei,.*,fees_wei,redeem_gas_wei,expected_parts$/,
  )
  assert.equal(lines[1], '2026-11-25,0xA11ce,3,1,0,1,4,5,0,9,0,5,5,2,999')
  assert.equal(lines[2], '2026-11-25,,3,1,0,1,4,5,0,9,0,5,5,2,999')
  const byDay = await run([...argv, '--by', 'day'])
  assert.equal(byDay.out.split('\r\n')[1], '2026-11-25,4,5,0,5,2,1,0,2')
})

test('a command line that cannot be read is told in a sentence', async () => {
  const cases: readonly (readonly [string[], string])[] = [
    [[], 'livepeer tickets takes list, show, retry or export'],
    [['lst'], 'livepeer tickets knows no lst'],
    [['show'], 'livepeer tickets show takes the hash of one ticket, 0x and 64 hexadecimal digits'],
    [['show', '0x12'], 'livepeer tickets show takes the hash of one ticket, 0x and 64 hexadecimal digits'],
    [['list', 'x'], 'livepeer tickets list takes no x'],
    [['list', '--limit', '0'], '--limit is a number from 1 to 100000, not 0'],
    [['show', ONE, '--csv'], '--csv does not go with livepeer tickets show'],
    [['list', '--csv', '--json'], '--csv and --json do not go together'],
    [['export', '--from', '2026-02-30'], '--from is a day as YYYY-MM-DD, not 2026-02-30'],
    [['export', '--from', '2026-11-26'], '--from is later than --to'],
    [['export', '--by', 'node'], '--by is gateway or day, not node'],
  ]
  for (const [argv, sentence] of cases) {
    const { code, err } = await run(argv)
    assert.deepEqual([code, err], [2, `${sentence}: livepeer tickets --help explains\n`])
  }
  assert.equal((await run(['--help'])).code, 0)
})
