import { numberToHex } from 'viem'
import { readResults, unpackCalls, writeResults } from '../../src/io/chain/many-calls.ts'
import type { Hex } from '../../src/lib/bytes.ts'
import type { Dice } from '../../src/lib/dice.ts'
import { seededDice } from '../../src/lib/dice.ts'
import {
  type BatchManner,
  HttpFault,
  type Intercept,
  type PassingRequest,
  RpcFault,
  RpcShim,
} from './rpc-shim.ts'

/** The private state of a behaviour at one endpoint: its random source, and a clock in milliseconds. */
export interface HabitNeeds {
  readonly dice: Dice
  readonly now: () => number
}

/** What an endpoint does to some requests; the others pass. */
export interface Habit {
  readonly name: string
  readonly begin: (needs: HabitNeeds) => Intercept
  /** Absent: batches are answered. */
  readonly batches?: BatchManner
}

/**
 * Starts an endpoint with these behaviours in front of a real chain; they apply in order, the last one next to the
 * chain.
 */
export function startHabits(
  chainUrl: string | (() => string),
  habits: readonly Habit[],
  options: { seed?: string; now?: () => number } = {},
): Promise<RpcShim> {
  const now = options.now ?? (() => performance.now())
  const begun = habits.map(({ begin, name }) =>
    begin({ dice: seededDice(`${options.seed ?? 'habits'}/${name}`), now }),
  )
  const intercept: Intercept = (request) =>
    begun.reduceRight<Intercept>(
      (next, habit) => (passing) =>
        habit({
          ...passing,
          forward: (method = passing.method, params = passing.params) =>
            next({ ...passing, method, params, forward: passing.forward }),
        }),
      ({ forward, method, params }) => forward(method, params),
    )(request)
  const batches = habits.find((habit) => habit.batches)?.batches ?? 'answered'
  return RpcShim.start(chainUrl, { intercept, batches, opensCalls: false })
}

/** Methods that only read state. */
const STATE_READS = new Set([
  'eth_call',
  'eth_estimateGas',
  'eth_getBalance',
  'eth_getTransactionCount',
  'eth_getCode',
])

const USED_TICKETS = '0x59a515ba'
const CURRENT_ROUND = '0x8a19c8bc'
const LAST_INITIALIZED_ROUND = '0x8807f36e'

/** Provider behaviours, one per row, each seen at a real provider. */
export const HABITS = {
  none: {
    name: 'none',
    begin:
      () =>
      ({ forward }) =>
        forward(),
  },

  rateRetryAfter: limit('at most 15 a second: HTTP 429 with Retry-After', { perSecond: 15 }, () => {
    return new HttpFault(429, 'Too Many Requests', { 'retry-after': '1' })
  }),
  rateJson429: limit('at most 15 a second: HTTP 429 with error -32007', { perSecond: 15 }, () => {
    return new RpcFault(-32007, '15/second request limit reached - reduce calls per second', { status: 429 })
  }),
  rateJson200: limit('at most 15 a second: HTTP 200 with error -32007', { perSecond: 15 }, () => {
    return new RpcFault(-32007, '15/second request limit reached - reduce calls per second')
  }),
  credits200: limit('credits: HTTP 200 with error -32012', { perSecond: 300, cost: creditsOf }, () => {
    return new RpcFault(-32012, 'credits limited to 300/sec')
  }),
  credits429: limit('credits: HTTP 429 with error -32012', { perSecond: 300, cost: creditsOf }, () => {
    return new RpcFault(-32012, 'credits limited to 300/sec', { status: 429 })
  }),
  neverWithinLimits: {
    name: 'no credits left: every request is limited',
    begin: () => async () => {
      throw new RpcFault(-32012, 'credits limited', { status: 429 })
    },
  },

  headerNotFound: sometimes('30 % of reads: header not found', 0.3, isRead, () => {
    return new RpcFault(-32000, 'header not found')
  }),
  trieNode: sometimes(
    '30 % of state reads: missing trie node',
    0.3,
    ({ method }) => STATE_READS.has(method),
    () => {
      const text = 'missing trie node 7f6e (path ) state 0x7f6e is not available, not found'
      return new RpcFault(-32000, text)
    },
  ),
  json503: sometimes(
    '20 % of all: HTTP 503 with a JSON error',
    0.2,
    () => true,
    () => {
      return new RpcFault(-32603, 'internal error', { status: 503 })
    },
  ),
  json500Revert: sometimes(
    '20 % of reads: HTTP 500 whose JSON says "execution reverted"',
    0.2,
    isRead,
    () => {
      return new RpcFault(3, 'execution reverted', { status: 500, data: '0x' })
    },
  ),
  html502: sometimes('20 % of reads: HTTP 502 with a page', 0.2, isRead, () => {
    return new HttpFault(502, '<html>Bad Gateway</html>')
  }),
  unknownWords: sometimes('20 % of reads: an unknown error', 0.2, isRead, () => {
    return new RpcFault(-39999, 'the moon is in the wrong house')
  }),

  lostAnswers: {
    name: 'HTTP 502 after the transaction was taken, for every second one',
    begin: () => {
      let sent = 0
      return async ({ forward, method }) => {
        const answer = await forward()
        if (method === 'eth_sendRawTransaction' && sent++ % 2 === 0) throw new HttpFault(502, 'Bad Gateway')
        return answer
      }
    },
  },
  cutAfterTaking: {
    name: 'the connection is cut after the transaction was taken, for every second one',
    begin: () => {
      let sent = 0
      return async ({ forward, method }) => {
        const answer = await forward()
        return method === 'eth_sendRawTransaction' && sent++ % 2 === 0 ? undefined : answer
      }
    },
  },
  falseNonceTooLow: {
    name: '"nonce too low" for every fourth transaction, which was not taken',
    begin: () => {
      let sent = 0
      return async ({ forward, method }) => {
        if (method === 'eth_sendRawTransaction' && sent++ % 4 === 1)
          throw new RpcFault(-32000, 'nonce too low')
        return forward()
      }
    },
  },

  laggingReplicas: {
    name: 'every second request is answered by a replica three blocks behind',
    begin: () => {
      let requests = 0
      return (request) => (requests++ % 2 === 0 ? request.forward() : asOf(request, 3))
    },
  },

  clockAhead: changedHeaders('timestamps an hour ahead of the clock', (block) => ({
    ...block,
    timestamp: hex(BigInt(String(block.timestamp)) + 3_600n),
  })),
  absurdFees: {
    name: 'fees a million times too high',
    begin: () => async (request) => {
      const answer = await request.forward()
      const { method } = request
      const isPrice = method === 'eth_gasPrice' || method === 'eth_maxPriorityFeePerGas'
      if (isPrice) return hex(BigInt(answer as string) * 1_000_000n + 10n ** 15n)
      if (method === 'eth_feeHistory') return absurdHistory(answer as FeeHistory)
      if (method !== 'eth_getBlockByNumber' || answer === null) return answer
      const block = answer as Record<string, unknown>
      return { ...block, baseFeePerGas: hex(BigInt(String(block.baseFeePerGas)) * 1_000_000n + 10n ** 15n) }
    },
  },

  ranges100: ranges('log ranges of at most 100 blocks', 100n, (from, to) => {
    return new RpcFault(-32000, `requested too many blocks from ${from} to ${to}, maximum is set to 100`)
  }),
  rangesUnknownWords: ranges('log ranges of at most 10 blocks, refused in unknown words', 10n, () => {
    return new RpcFault(-32602, 'please upgrade your plan')
  }),
  rangesOfOne: ranges('logs of one block at a time', 1n, () => new RpcFault(-32701, 'no')),
  ranges400: ranges(
    'log ranges of at most 50 blocks: HTTP 400',
    50n,
    () => new HttpFault(400, '{"error":"no"}'),
  ),

  batchHttp400: { ...passing('batches refused with HTTP 400'), batches: 'http-400' },
  batchOneError: { ...passing('batches answered by one error'), batches: 'one-error' },
  batchItemErrors: { ...passing('batches answered by errors, one an item'), batches: 'item-errors' },
  noCallsWithoutTarget: {
    name: 'calls without a target are refused',
    begin:
      () =>
      async ({ forward, method, params }) => {
        const [call] = params as [{ to?: string }]
        if (method === 'eth_call' && !call.to)
          throw new RpcFault(-32602, 'invalid params: missing field `to`')
        return forward()
      },
  },

  saysUsed: lies('says for the first 40 times that a ticket is used', 40, USED_TICKETS, () => 1n),
  saysLaterRound: lies(
    'says for the first 40 times that the round is five later',
    40,
    CURRENT_ROUND,
    (now) => now + 5n,
  ),
  saysLaterInitialized: lies(
    'says for the first 40 times that a round five later is initialised',
    40,
    LAST_INITIALIZED_ROUND,
    (now) => now + 5n,
  ),
} as const satisfies Readonly<Record<string, Habit>>

/** The answer from the state this many blocks back, for any request. */
export async function asOf({ forward, method, params }: PassingRequest, blocks: number): Promise<unknown> {
  const newest = Math.max(0, Number(await forward('eth_blockNumber', [])) - blocks)
  const tag = hex(BigInt(newest))
  if (method === 'eth_blockNumber') return tag
  if (method === 'eth_getLogs') {
    const [{ toBlock }] = params as [{ toBlock: string }]
    if (toBlock !== 'latest' && Number(toBlock) > newest) {
      throw new RpcFault(-32000, 'block range extends beyond current head block')
    }
  }
  if (params.some((param) => isBlockNumber(param) && Number(param) > newest)) {
    if (method === 'eth_getBlockByNumber') return null
    if (STATE_READS.has(method)) throw new RpcFault(-32000, 'header not found')
  }
  // Without a block the newest one is meant.
  const isOpen = method === 'eth_estimateGas' && params.length === 1
  const named = [...params, ...(isOpen ? ['latest'] : [])]
  const isNewest = (param: unknown) => param === 'latest' || (param === 'pending' && STATE_READS.has(method))
  const answer = await forward(
    method,
    named.map((param) => (isNewest(param) ? tag : param)),
  )
  const { blockNumber } = (answer ?? {}) as { blockNumber?: string | null }
  if (Number(blockNumber ?? 0) <= newest) return answer
  if (method === 'eth_getTransactionReceipt') return null
  if (method === 'eth_getTransactionByHash')
    return { ...(answer as object), blockNumber: null, blockHash: null }
  return answer
}

function isRead({ method }: PassingRequest): boolean {
  return method !== 'eth_sendRawTransaction'
}

function isBlockNumber(param: unknown): param is string {
  return typeof param === 'string' && /^0x[0-9a-f]{1,16}$/.test(param)
}

function passing(name: string): Habit {
  return {
    name,
    begin:
      () =>
      ({ forward }) =>
        forward(),
  }
}

/** The cost of a request where credits are counted. */
function creditsOf(method: string): number {
  if (method === 'eth_getLogs') return 60
  return method === 'eth_call' || method === 'eth_estimateGas' ? 20 : 10
}

/** Limits the cost within any second, over all methods and each item of a batch. */
function limit(
  name: string,
  { cost = () => 1, perSecond }: { perSecond: number; cost?: (method: string) => number },
  fault: () => Error,
): Habit {
  return {
    name,
    begin: ({ now }) => {
      const spent: { atMs: number; cost: number }[] = []
      return async ({ forward, method }) => {
        while (spent.length > 0 && spent[0]!.atMs <= now() - 1_000) spent.shift()
        const sum = spent.reduce((total, one) => total + one.cost, 0)
        if (sum + cost(method) > perSecond) throw fault()
        spent.push({ atMs: now(), cost: cost(method) })
        return forward()
      }
    },
  }
}

function sometimes(
  name: string,
  share: number,
  which: (request: PassingRequest) => boolean,
  fault: () => Error,
): Habit {
  return {
    name,
    begin:
      ({ dice }) =>
      async (request) => {
        if (which(request) && dice.fraction() < share) throw fault()
        return request.forward()
      },
  }
}

function ranges(name: string, most: bigint, fault: (from: bigint, to: bigint) => Error): Habit {
  return {
    name,
    begin:
      () =>
      async ({ forward, method, params }) => {
        if (method === 'eth_getLogs') {
          const [{ fromBlock, toBlock }] = params as [{ fromBlock: string; toBlock: string }]
          const last = BigInt(toBlock === 'latest' ? String(await forward('eth_blockNumber', [])) : toBlock)
          if (last - BigInt(fromBlock) + 1n > most) throw fault(BigInt(fromBlock), last)
        }
        return forward()
      },
  }
}

function changedHeaders(name: string, change: (block: Record<string, unknown>) => object): Habit {
  return {
    name,
    begin:
      () =>
      async ({ forward, method }) => {
        const answer = await forward()
        return method === 'eth_getBlockByNumber' && answer !== null
          ? change(answer as Record<string, unknown>)
          : answer
      },
  }
}

/** Falsifies one view of a contract for a while, also if it is one of several in a request. */
function lies(name: string, times: number, selector: string, lie: (truth: bigint) => bigint): Habit {
  return {
    name,
    begin: () => {
      let told = 0
      const changed = (data: string, answer: Hex): Hex => {
        if (!data.startsWith(selector) || answer === '0x' || told++ >= times) return answer
        return numberToHex(lie(BigInt(answer)), { size: 32 })
      }
      return async ({ forward, method, params }) => {
        const answer = await forward()
        if (method !== 'eth_call') return answer
        const [{ data = '0x', to }] = params as [{ to?: string; data?: Hex }]
        const views = to === undefined ? unpackCalls(data) : null
        if (!views) return changed(data, answer as Hex)
        const results = readResults(answer, views.length) ?? []
        return writeResults(
          results.map((result, i) => {
            return result.success ? { ...result, data: changed(views[i]!.data, result.data) } : result
          }),
        )
      }
    },
  }
}

interface FeeHistory {
  readonly baseFeePerGas: readonly string[]
  readonly reward?: readonly (readonly string[])[]
}

function absurdHistory(history: FeeHistory): FeeHistory {
  const raised = (fee: string) => hex(BigInt(fee) * 1_000_000n + 10n ** 15n)
  return {
    ...history,
    baseFeePerGas: history.baseFeePerGas.map(raised),
    ...(history.reward ? { reward: history.reward.map((block) => block.map(raised)) } : {}),
  }
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`
}
