import assert from 'node:assert/strict'
import { test } from 'node:test'
import { luckSentence } from '../../commands/status/luck.ts'
import { read } from './figures.ts'
import { dayName, gatewayRows, LEDGER, type Ledger, luckByDay, moneyByDay } from './ledger.ts'

const ETHER = 10n ** 18n
const A = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'

/** A line of `/ledger` as it is sent; amounts in tenths of an ether. */
function line(day: string, sender: string | null, tenths: { expected: number; won: number; half: number }) {
  const wei = (amount: number) => String((BigInt(amount) * ETHER) / 10n)
  const { expected, half, won } = tenths
  return {
    ...{
      day,
      sender,
      expectedWei: wei(expected),
      wonWei: wei(won),
      lowWei: wei(Math.max(0, expected - half)),
    },
    ...{ highWei: wei(expected + half), ticketsReceived: 10, ticketsWon: won, handedInWei: '0' },
    ...{ feesWei: wei(won), redeemGasWei: '1000' },
  }
}

const LINES = [
  line('2026-09-02', A, { expected: 20, won: 30, half: 30 }),
  line('2026-09-01', A, { expected: 10, won: 5, half: 40 }),
  line('2026-09-02', null, { expected: 1, won: 0, half: 0 }),
]
const DAY = {
  ...{ receivedWei: `${ETHER}`, wonWei: `${2n * ETHER}`, handedInWei: '0', feesWei: `${ETHER / 2n}` },
  ...{ redeemGasWei: '1', rewardGasWei: '2', otherGasWei: '3', netWei: `${ETHER / 2n - 6n}` },
}
const TOTAL = { ...LINES[0]!, ticketsReceived: 30, ticketsWon: 3 }

function ledger(changes: object = {}): Ledger {
  const sent = { lines: LINES, days: [{ day: '2026-09-01', ...DAY }], total: TOTAL, ...changes }
  const figures = read(LEDGER, { httpStatus: 200, body: JSON.stringify(sent) })
  assert.ok('value' in figures, 'fault' in figures ? figures.fault : '')
  return figures.value
}

test('money by day is drawn as the book has it: received, won, redeemed, and all gas', () => {
  const { lines, places } = moneyByDay(ledger())
  assert.deepEqual(places.map(dayName), ['2026-09-01'])
  assert.deepEqual(
    lines.map(({ label, values }) => [label, values[0]]),
    [
      ['received, expected value', 1],
      ['won', 2],
      ['redeemed', 0.5],
      ['gas', 6e-18],
    ],
  )
})

test('luck adds up over the days, and the band grows with the root of the squares', () => {
  const { lines, places } = luckByDay(ledger())
  assert.deepEqual(places.map(dayName), ['2026-09-01', '2026-09-02'])
  const near = (value: number) => Math.round(value * 1e9) / 1e9
  assert.deepEqual(
    lines.map(({ values }) => values.map(near)),
    [
      [0.5, 3.5],
      [1, 3.1],
      [0, 0],
      [5, 8.1],
    ],
  )
})

test('luck is told in a sentence, and luck beyond chance is named', () => {
  const total = (won: number) =>
    ledger({ total: { ...TOTAL, ...line('2026-09-01', A, { expected: 20, won, half: 10 }) } })
  assert.equal(
    luckSentence(total(25)),
    '2.5 ETH was won with 25 of 10 tickets; 2 ETH was to be expected, and 95 of 100 times it is between 1 ETH and 3 ETH.',
  )
  assert.match(luckSentence(total(9)), /less luck than chance explains\.$/)
  assert.match(luckSentence(total(31)), /more luck than chance explains\.$/)
  assert.equal(
    luckSentence(ledger({ total: { ...TOTAL, ticketsReceived: 0 } })),
    'No tickets were received in this time.',
  )
})

test('gateways are summed over the days, those that brought most first', () => {
  assert.deepEqual(gatewayRows(ledger()), [
    {
      ...{ gateway: A, tickets: '35 of 20', received: '3 ETH', won: '3.5 ETH', redeemed: '3.5 ETH' },
      ...{ gas: '2000 wei', luck: '+17 %, of ±167 %' },
    },
    {
      ...{ gateway: 'not known by gateway', tickets: '0 of 10', received: '0.1 ETH', won: '0 ETH' },
      ...{ redeemed: '0 ETH', gas: '1000 wei', luck: '' },
    },
  ])
})

test('an answer of another form, and a refusal, become a sentence', () => {
  assert.deepEqual(read(LEDGER, { httpStatus: 404, body: 'this node keeps no winning tickets\n' }), {
    fault: 'this node keeps no winning tickets',
  })
  for (const body of [
    '',
    '[]',
    '{"lines":[]}',
    JSON.stringify({ lines: [{ ...LINES[0], day: 'x' }], days: [], total: TOTAL }),
  ])
    assert.ok('fault' in read(LEDGER, { httpStatus: 200, body }), body.slice(0, 40))
  assert.deepEqual(read(LEDGER, { httpStatus: 502, body: '' }), { fault: 'the node answered 502' })
})
