import { type ControlRecord, pathOf, type RecordedRole } from './control-player.ts'
import { STATE_VERDICTS } from './control-state-verdicts.ts'

/**
 * What becomes of each recorded call at one role: the same answer, a better one (and which defect it avoids), or out of scope (and
 * why). Rules are asked in order; a call that no rule names must be answered as it was recorded.
 */
export type Verdict =
  | { readonly kind: 'same' }
  | {
      readonly kind: 'better'
      readonly why: string
      readonly status: number
      /** What is answered instead; `recorded`: the recorded text, with another status. */
      readonly text?: RegExp | 'recorded'
    }
  | { readonly kind: 'out'; readonly why: string }

interface Rule {
  readonly has: (record: ControlRecord, role: RecordedRole, method: string) => boolean
  readonly verdict: Verdict
}

const SAME: Verdict = { kind: 'same' }

/** The paths that change something, of those that were recorded. */
const CHANGES = new Set([
  ...[
    '/setBroadcastConfig',
    '/setMaxFaceValue',
    '/setPriceForBroadcaster',
    '/setMaxSessions',
    '/setMinGasPrice',
  ],
  ...[
    '/setLogLevel',
    '/signMessage',
    '/vote',
    '/voteOnProposal',
    '/transferTokens',
    '/bond',
    '/rebond',
    '/unbond',
  ],
  ...['/withdrawStake', '/withdrawFees', '/claimEarnings', '/reward', '/initializeRound', '/requestTokens'],
  ...['/fundDeposit', '/fundDepositAndReserve', '/unlock', '/cancelUnlock', '/withdraw', '/setMaxGasPrice'],
  ...['/activateOrchestrator', '/setOrchestratorConfig'],
])

const at =
  (...paths: string[]) =>
  (record: ControlRecord) =>
    paths.includes(pathOf(record))
const numbered = (...ranges: (number | readonly [number, number])[]) => {
  const all = new Set(
    ranges.flatMap((range) =>
      typeof range === 'number'
        ? [range]
        : Array.from({ length: range[1] - range[0] + 1 }, (_, i) => range[0] + i),
    ),
  )
  return ({ n }: ControlRecord) => all.has(n)
}
const better = (why: string, status: number, text?: RegExp | 'recorded'): Verdict => ({
  ...{ kind: 'better', why, status },
  ...(text && { text }),
})

const NOT_BY_GET: Verdict = better(
  'a page or a link could make the node do this by GET',
  405,
  /^only POST is answered here\n$/,
)

/** Whether a record asks for a change by a method that is refused here. */
export function isChange(record: ControlRecord, method: string): boolean {
  return (
    CHANGES.has(pathOf(record)) && method !== 'POST' && !(pathOf(record) === '/reward' && method === 'GET')
  )
}

const RULES: readonly Rule[] = [
  { has: at('/setMaxPriceForCapability'), verdict: { kind: 'out', why: 'AI' } },
  {
    has: ({ path }) => path.startsWith('/debug/pprof'),
    verdict: better('the profiler shows the password: there is none here', 404, /^404 page not found\n$/),
  },
  { has: numbered(21, 22), verdict: better('a page or a link could make the node do this by GET', 405) },
  { has: numbered(81, 253), verdict: better('the GET before it has changed nothing', 200) },
  { has: ({ answer }) => answer === 'missing ETH client\n', verdict: SAME },
  // Reads.
  { has: at('/'), verdict: better('the console is a page for people', 200) },
  { has: at('/healthz'), verdict: better('health is served here too', 200) },
  {
    has: (record) => record.dropped === true && pathOf(record) === '/currentBlock',
    verdict: better('no crash without a block', 500, /^missing ETH client\n$/),
  },
  { has: numbered(13), verdict: better('a multipart body counts everywhere', 200) },
  { has: numbered(175), verdict: better('a parameter in the body counts', 200) },
  { has: numbered(179), verdict: better('no round is negative', 400, /is negative/) },
  {
    has: numbered(514, 578, 611, 840, 841),
    verdict: better('only addresses and the word default are gateways', 200),
  },
  // Settings that the node has not.
  {
    has: (record, role) =>
      at('/setBroadcastConfig')(record) && !['G', 'fG'].includes(role) && record.status === 200,
    verdict: better(
      'the settings of a gateway are not accepted elsewhere',
      400,
      /^Node must be gateway node/,
    ),
  },
  {
    has: (record, role) => at('/getBroadcastConfig')(record) && !['G', 'fG'].includes(role),
    verdict: better('only a gateway has such settings', 200, /^\{"MaxPrice":null,"TranscodingOptions":""\}$/),
  },
  {
    has: (record, role) => numbered(98)(record) && ['R', 'W', 'T'].includes(role),
    verdict: better('what takes no sessions has no limit of them', 400, /takes no sessions/),
  },
  {
    has: (record) => numbered(132)(record),
    verdict: better('no crash for auto', 400, /auto is for|takes no sessions/),
  },
  {
    has: (record, role) => role === 'fO' && at('/setPriceForBroadcaster')(record) && record.status === 200,
    verdict: better('an offchain orchestrator asks for nothing', 400, /offchain|not a valid eth address/),
  },
  {
    has: (record, role) => role === 'fO' && at('/setMaxFaceValue')(record) && record.dropped === true,
    verdict: better('no crash offchain', 400, /offchain|maxfacevalue not set to number/),
  },
  {
    has: numbered(454, 455),
    verdict: better('xdefault and an address with a tail are no gateways', 400, /not a valid eth address/),
  },
  // Ranges.
  { has: numbered(104, 201, 248, 508), verdict: better('negative limits are refused', 400) },
  { has: numbered(105, 202, 249), verdict: better('the negative limit before it was refused', 200) },
  { has: numbered(251), verdict: better('00 is zero: no limit', 200, /^$/) },
  {
    has: (record) => /wraps at 2\^(64|256)/.test(record.case),
    verdict: better('numbers do not wrap around', 400),
  },
  {
    has: (record) =>
      record.case === 'negative' &&
      at('/transferTokens', '/bond', '/rebond', '/unbond', '/withdrawStake', '/fundDeposit')(record),
    verdict: better('no amount and no lock is negative', 400, /is negative/),
  },
  {
    has: (record) =>
      record.status === 500 &&
      at('/vote', '/voteOnProposal')(record) &&
      /malformed|out of range|negative/.test(record.case),
    verdict: better('what is malformed is 400', 400),
  },
  { has: numbered(223), verdict: better('a malformed lock is refused', 400, /failed to parse big integer/) },
  {
    has: numbered(256),
    verdict: better('a ceiling does not stop what it allows', 200, /^fundDeposit success$/),
  },
  {
    has: (record) =>
      record.status === 400 &&
      at('/bond', '/rebond')(record) &&
      /execution reverted|dial tcp/.test(record.answer ?? ''),
    verdict: better('refusals of contracts have one status', 500, 'recorded'),
  },
  {
    has: (record) => /error getting price feed currencies/.test(record.answer ?? ''),
    verdict: better(
      'it says which flag gives a price feed',
      400,
      /^error converting price: no price feed for/,
    ),
  },
  {
    has: numbered(205, 206, 207),
    verdict: better(
      'the same refusal in other words of a library',
      -1,
      /^could not (sign|unmarshal) typed data - err="/,
    ),
  },
]

/** What becomes of a recorded call at a role, by one method. */
export function verdictOn(record: ControlRecord, role: RecordedRole, method: string): Verdict {
  if (isChange(record, method) && !/%zz|;/.test(record.path)) return NOT_BY_GET
  const inItsState = STATE_VERDICTS.find(([numbers]) => numbers.includes(record.n))
  if (inItsState) return better(...(inItsState.slice(1) as [string, number, RegExp]))
  return RULES.find(({ has }) => has(record, role, method))?.verdict ?? SAME
}
