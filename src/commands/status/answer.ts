// Named like this, what is not used of it stays out of the files of the console.
import * as z from 'zod'
import { messageOf } from '../../lib/errors.ts'

/** Texts from nodes are cut to this length, so that none fills the screen. */
const MAX_TEXT = 160
/** A sentence of a cause names numbers and addresses. */
const MAX_SENTENCE = 700
const MAX_ENTRIES = 1_000

const text = z.string().transform((given) => plain(given))
const sentence = z.string().transform((given) => plain(given, MAX_SENTENCE))
const count = z.number().int().nonnegative()
const time = z.number()
const whole = z
  .union([z.string().regex(/^-?\d{1,80}$/), z.number().int()])
  .transform((written) => BigInt(written))
const list = <T extends z.ZodType>(entry: T) => z.array(entry).max(MAX_ENTRIES)

const endpoint = z.object({
  endpoint: text,
  head: whole.nullable().optional(),
  state: z.object({ kind: text, sinceMs: time.optional(), reason: text.optional() }),
})

const transaction = z.object({ purpose: text, txHash: text, sentAtMs: time, attempts: count })

const recipientState = z.object({
  registered: z.boolean(),
  active: z.boolean(),
  activationRound: whole,
  lastRewardRound: whole,
})

const chain = z.object({
  chainId: text,
  account: text,
  balance: whole.nullable(),
  redemptionsLeft: whole.nullable(),
  block: text.nullable(),
  blockAgeSeconds: time.nullable(),
  l1Block: whole.nullable(),
  rounds: z
    .object({ lastInitialized: whole, current: whole, startL1Block: whole, nextL1Block: whole })
    .nullable(),
  gasPrice: whole.nullable().optional(),
  gasLimits: z.object({ max: whole.nullable(), ceiling: whole }).nullable().optional(),
  endpoints: list(endpoint),
  transactions: list(transaction),
  recipientState: recipientState.nullable(),
})

const ticketGroup = z.object({
  state: text,
  reason: text,
  count,
  faceValueWei: whole,
  firstExpiryBlock: whole.nullable(),
})

const tickets = z.object({
  received: count,
  won: count,
  groups: list(ticketGroup),
  redeemedWei: whole,
  paymentsRefused: count,
  handedRefused: z.record(text, count),
})

const sums = z.object({
  receivedWei: whole,
  wonWei: whole,
  handedInWei: whole,
  redeemedWei: whole,
  redeemGasWei: whole,
  rewardGasWei: whole,
  otherGasWei: whole,
})

const money = z.object({
  sinceMs: time.nullable(),
  today: sums,
  round: whole.nullable(),
  thisRound: sums.nullable(),
  thisWeek: sums,
  ever: sums,
})

const inFlight = z.object({ txHash: text, sentAtMs: time, attempts: count }).nullable()
const lastError = z.object({ atMs: time, message: text }).nullable()

const reward = z.object({
  mode: text,
  state: text,
  why: text.nullable(),
  orchestrator: text,
  account: text,
  currentRound: whole.nullable(),
  lastRewardRound: whole.nullable(),
  nextLookMs: time.nullable(),
  inFlight,
  roundsLeft: whole.nullable(),
  lastError,
  called: count,
  missed: whole,
})

const rounds = z.object({ state: text, inFlight, initialized: count, lastError })

const redeemer = z.object({
  name: text,
  answers: z.boolean(),
  sinceMs: time.nullable(),
  lastError: text.nullable(),
})

const transcoder = z.object({
  name: text.default(''),
  address: text,
  hardware: text.default(''),
  capacity: count,
  load: count,
  streams: list(text).default([]),
  outOfRotation: text.nullable(),
  version: text.optional(),
  lastAnswerMs: time.nullable().optional(),
})

/** A stream's names are part of its paths, so they are kept as they are. */
const streamName = z.string().max(MAX_SENTENCE)
const stream = z.object({ manifestId: streamName, profiles: list(streamName), sessions: count })
const worker = z.object({ orchestrator: text.nullable(), running: count, lastError: text.nullable() })

const media = z.object({
  waiting: count,
  devices: list(z.object({ device: text, sessions: count, outOfService: text.nullable() })),
})

const weiPerPixel = z.string().regex(/^\d{1,80}(\/\d{1,80})?$/)
const gatewayPrice = z.object({ gateway: text, weiPerPixel })
const price = z.object({
  base: weiPerPixel.nullable(),
  perGateway: list(gatewayPrice),
  offered: list(gatewayPrice),
})

const funds = z.object({
  depositWei: whole,
  reserveWei: whole,
  spentPerHourWei: whole,
  depositLastsMs: time.nullable(),
  reserveLastsMs: time.nullable(),
})

const overpaid = z.object({
  orchestrator: text,
  chargedWei: whole,
  earnedWei: whole,
  untilMs: time,
  times: count,
})

const cluster = z.object({
  node: text,
  isIn: z.boolean(),
  members: list(
    z.object({
      ...{ node: text, address: text, roles: list(text), version: text, alive: z.boolean(), silentMs: time },
      seenMs: time.optional(),
      work: z.object({ takesSegments: z.boolean(), maxSessions: count, sessions: count }),
      leads: list(z.object({ duty: text, forMs: time })).optional(),
    }),
  ),
})

const cause = z.object({
  ...{ code: text, side: text, about: text, says: sentence, change: sentence },
  ...{ sinceMs: time, lastMs: time, count },
})

const setting = z.object({ name: text, flag: text, value: text, commandLine: text, kept: text.nullable() })

/** What was asked for through the control API. */
const change = z.object({
  ...{ atMs: time, from: text, by: text, path: text, params: z.record(text, text) },
  ...{ status: count, result: text },
})

/** The sections of a status that are read. Each may be missing, or have the form of another version. */
const sections = {
  roles: list(text),
  network: text,
  storeFault: text,
  storeReadMs: time,
  causes: list(cause),
  cluster,
  waitingFor: text,
  drain: text,
  recipient: text,
  chain,
  tickets,
  money,
  price,
  funds,
  reward,
  rounds,
  redeemers: list(redeemer),
  floatIsOwnView: z.boolean(),
  transcoders: list(transcoder),
  worker,
  media,
  sessions: count,
  capacity: z.object({ maxSessions: count }),
  segments: z.object({ transcoded: count, failed: count }),
  ticketsSent: count,
  ticketsAccepted: count,
  overpaid: list(overpaid),
  floatStreams: count,
  streams: list(stream),
  settings: list(setting),
  changes: list(change),
} as const

type Sections = { readonly [Name in keyof typeof sections]?: z.output<(typeof sections)[Name]> }

/** The part of a node's status that could be read. */
export interface SeenStatus extends Sections {
  readonly version: string
  readonly ready: boolean
  /** The node's clock when it answered, ms since the epoch. */
  readonly nowMs: number
  /** Sections in a form that this version does not know. */
  readonly unread: readonly string[]
}

/** The result of asking one address. */
export type NodeAnswer = { readonly address: string } & (
  | { readonly kind: 'status'; readonly status: SeenStatus }
  | { readonly kind: 'silent'; readonly why: string }
  /** It asks for a token; `shown`: it refused the one that was sent. */
  | { readonly kind: 'no-token'; readonly shown: boolean }
  /** Another program answered. */
  | { readonly kind: 'stranger'; readonly why: string }
)

/** A node that answered with its status. */
export type SeenNode = Extract<NodeAnswer, { kind: 'status' }>

const head = z.object({ version: text, ready: z.boolean(), nowMs: time.optional() })

/** Reads the answer of an address. It is untrusted: only known sections are taken, and their texts are cleaned. */
export function readAnswer(
  address: string,
  answer: { readonly httpStatus: number; readonly body: string },
  asked: { readonly atMs: number; readonly withToken: boolean },
): NodeAnswer {
  if (answer.httpStatus === 401) return { address, kind: 'no-token', shown: asked.withToken }
  if (answer.httpStatus !== 200) {
    return { address, kind: 'stranger', why: `HTTP ${answer.httpStatus}: ${plain(answer.body)}` }
  }
  let body: unknown
  try {
    body = JSON.parse(answer.body)
  } catch (error) {
    return { address, kind: 'stranger', why: plain(`no JSON: ${messageOf(error)}`) }
  }
  const known = head.safeParse(body)
  if (!known.success) return { address, kind: 'stranger', why: 'JSON, but no status of a livepeer-ts node' }
  const { version, ready, nowMs = asked.atMs } = known.data
  const read: Record<string, unknown> = {}
  const unread: string[] = []
  for (const [name, schema] of Object.entries(sections)) {
    const raw = (body as Record<string, unknown>)[name]
    if (raw === undefined || raw === null) continue
    const parsed = schema.safeParse(raw)
    if (parsed.success) read[name] = parsed.data
    else unread.push(name)
  }
  return { address, kind: 'status', status: { ...(read as Sections), version, ready, nowMs, unread } }
}

/** One line of bounded length, without the control characters that a terminal would obey. */
export function plain(text: string, most = MAX_TEXT): string {
  const line = text
    .slice(0, 2 * most)
    .replace(/[\p{C}\p{Z}]+/gu, ' ')
    .trim()
  return line.length > most ? `${line.slice(0, most - 1)}…` : line
}
