import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jobCapabilities } from '../../domain/capabilities.ts'
import { textOf } from '../../domain/causes.ts'
import type { OrchestratorInfo } from '../../domain/segment.ts'
import type { SkippedOffer } from '../../domain/skipped-offer.ts'
import { wordsOfSkipped } from '../../domain/skipped-words.ts'
import { Rational } from '../../lib/rational.ts'
import type { PayingView } from './no-sessions.ts'
import { checkOrchestrators } from './orchestrator-check.ts'
import type { Directory } from './session-needs.ts'

const ETHER = 10n ** 18n
const { signal } = new AbortController()
const capabilities = jobCapabilities({ profiles: [], push: true })

const infoOf = (weiPerPixel: bigint) =>
  ({
    ...{ address: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8', transcoder: 'https://o:1' },
    priceInfo: { pricePerUnit: weiPerPixel, pixelsPerUnit: 1n },
  }) as unknown as OrchestratorInfo

/** Finds these at their prices, and skips the others. */
function directoryOf(prices: Record<string, bigint>, skips: Record<string, SkippedOffer> = {}): Directory {
  return {
    size: async (trust) => (trust === 'trusted' ? Object.keys(prices).length + Object.keys(skips).length : 0),
    find: async ({ skipped, trust }) => {
      if (trust !== 'trusted') return []
      for (const [url, why] of Object.entries(skips)) skipped?.(url, why)
      return Object.entries(prices).map(([from, price]) => ({ from, info: infoOf(price), suspended: false }))
    },
  }
}

const payingWith = (reserve: bigint, maxPrice: bigint | null = null): PayingView => ({
  ...{ account: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC', poolSize: 100n, lastInitializedRound: 9n },
  limits: { maxTicketEv: Rational.of(ETHER), maxTotalEv: Rational.of(ETHER), depositMultiplier: 1n },
  ...{
    redeemGas: 1_000_000n,
    gasPrice: 10n ** 9n,
    maxPrice: maxPrice === null ? null : Rational.of(maxPrice),
  },
  funds: async () => ({
    deposit: ETHER,
    withdrawRound: 0n,
    fundsRemaining: reserve,
    claimedInCurrentRound: 0n,
  }),
})
const check = (directory: Directory, paying: PayingView | null) =>
  checkOrchestrators({ capabilities, foundAt: 'on-chain' }, { directory, paying }, signal)

test('orchestrators that would serve are told with their prices', async () => {
  const { causes, skipped, willing } = await check(directoryOf({ 'https://a': 5n }), payingWith(ETHER))
  assert.deepEqual(
    willing.map(({ price, url }) => [url, String(price)]),
    [['https://a', '5']],
  )
  assert.deepEqual([causes, skipped.size], [[], 0])
})

test('a reserve that is too small is told with what is missing', async () => {
  const directory = directoryOf({}, { 'https://a': { kind: 'reserve-too-small' } })
  const { causes, funds, willing } = await check(directory, payingWith(ETHER / 100n))
  assert.equal(willing.length, 0)
  assert.equal(funds?.fundsRemaining, ETHER / 100n)
  assert.equal(causes[0]?.code, 'reserve-too-small')
  assert.equal(
    textOf(causes[0]!).change,
    'raise the reserve to about 0.1 ETH with: livepeer gateway fund --reserve 0.09ETH',
  )
})

test('one above the price ceiling would not serve', async () => {
  const { causes, skipped, willing } = await check(
    directoryOf({ 'https://a': 5n, 'https://b': 7n }),
    payingWith(ETHER, 6n),
  )
  assert.deepEqual(
    willing.map(({ url }) => url),
    ['https://a'],
  )
  assert.equal(skipped.get('https://b')?.kind, 'too-expensive')
  assert.equal(causes[0]?.code, 'price-above-maximum')
})

test('without any orchestrator that is told; offchain nothing is said of funds', async () => {
  assert.equal((await check(directoryOf({}), payingWith(ETHER))).causes[0]?.code, 'no-orchestrators')
  const free = await check(directoryOf({ 'https://a': 0n }), null)
  assert.deepEqual([free.funds, free.willing.length, free.causes], [null, 1, []])
})

test('why one would not serve has words, in which peers move no cursor', () => {
  const all: readonly (readonly [SkippedOffer, string])[] = [
    [{ kind: 'silent', reason: 'x\u001b[2J' }, 'does not answer: x\\u001b[2J'],
    [{ kind: 'full' }, 'has no room for another stream'],
    [{ kind: 'reserve-too-small' }, 'finds this gateway’s reserve too small'],
    [{ kind: 'refuses', reason: 'no' }, 'refuses: no'],
    [{ kind: 'blocked' }, 'is on -orchBlocklist'],
    [{ kind: 'unfit', missing: ['HEVC', 'MP4'] }, 'lacks HEVC, MP4'],
    [
      { kind: 'too-expensive', price: Rational.of(5n, 2n) },
      'asks 2.5 wei per pixel, more than -maxPricePerUnit allows',
    ],
    [
      { kind: 'ticket-ev', ev: Rational.of(ETHER) },
      'asks for tickets that are worth 1 ETH, more than -maxTicketEV allows',
    ],
    [{ kind: 'face-value', faceValue: ETHER }, 'asks for tickets of 1 ETH, which the deposit does not cover'],
    [{ kind: 'unpayable' }, 'cannot be paid with this gateway’s funds'],
    [{ kind: 'suspended', reason: 'slow', until: 'for some minutes' }, 'is left out for some minutes: slow'],
    [{ kind: 'busy' }, 'works on earlier segments'],
  ]
  for (const [offer, words] of all) assert.equal(wordsOfSkipped(offer), words)
})
