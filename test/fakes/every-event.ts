import { type NodeEvent, type NodeEventOf, VERIFIER_VERDICTS } from '../../src/domain/events.ts'
import { Rational } from '../../src/lib/rational.ts'

const sender = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const manifestId = 'movie'
const orchestrator = 'https://o.example:8935'
const segment = { manifestId, sequence: 1n, durationMs: 2_000 }
const payment = { manifestId, orchestrator, tickets: 3, value: Rational.of(3_000_000_000n) }
const ticket = { sender, faceValue: 10n ** 18n } as const
const labels = { name: 't', address: '10.0.0.1', hardware: '' }
const won = { ticket: '0x01', ...ticket } as const
const result = { tookMs: 500, pixels: 2_000_000n, profiles: ['tiny', 'half'] }
const CAUSE = { code: 'store-unwritable', facts: { fault: 'full' } } as const
const at = { manifestId, sequence: 1n, orchestrator, fault: 'unreachable', reason: 'away' }

/** One event of each kind and side. */
const EVERY: { readonly [Kind in NodeEvent['kind']]: readonly NodeEventOf<Kind>[] } = {
  'tickets-received': [
    {
      kind: 'tickets-received',
      sender,
      manifestId,
      sessionId: 'a',
      tickets: 3,
      winners: 1,
      credit: Rational.of(3_000_000_000n),
    },
  ],
  'payment-refused': [{ kind: 'payment-refused', sender, manifestId, winners: 1, reason: 'nonce-conflict' }],
  'ticket-params-offered': [{ kind: 'ticket-params-offered', ...ticket, maxFloat: 10n ** 19n }],
  'payment-sent': [{ kind: 'payment-sent', ...payment }],
  'payment-accepted': [{ kind: 'payment-accepted', ...payment }],
  'ticket-won': [{ kind: 'ticket-won', ...won }],
  'ticket-handed-in': [{ kind: 'ticket-handed-in', ...won }],
  'handed-ticket-refused': [{ kind: 'handed-ticket-refused', reason: 'expired' }],
  'ticket-delivered': [{ kind: 'ticket-delivered', ...won, redeemer: 'r:8935' }],
  'ticket-delivery-failed': [{ kind: 'ticket-delivery-failed', redeemer: 'r:8935', reason: 'away' }],
  'ticket-redeemed': [{ kind: 'ticket-redeemed', ...won, paid: 10n ** 18n, fee: 7n, txHash: null }],
  'ticket-refused': [{ kind: 'ticket-refused', ...ticket, reason: 'expired' }],
  'ticket-reopened': [{ kind: 'ticket-reopened', ...won, paid: 10n ** 18n, fee: 7n }],
  'redemption-failed': [{ kind: 'redemption-failed', sender, reason: 'away' }],
  'session-begun': [
    { kind: 'session-begun', sessionId: 'a', running: 1, gateway: sender, host: null, profiles: [] },
  ],
  'session-ended': [{ kind: 'session-ended', sessionId: 'a', reason: 'idle', running: 0 }],
  'stream-begun': [{ kind: 'stream-begun', manifestId, profiles: [] }],
  'stream-ended': [{ kind: 'stream-ended', manifestId, reason: 'idle' }],
  'segment-arrived': [
    { kind: 'segment-arrived', side: 'gateway', ...segment, bytes: 9, clientIp: '127.0.0.1' },
    {
      ...{ kind: 'segment-arrived', side: 'orchestrator', sessionId: 'a', manifestId, durationMs: 2_000 },
      ...{ bytes: 9, tookMs: 40, clientIp: '127.0.0.1' },
    },
  ],
  'discovery-failed': [{ kind: 'discovery-failed', orchestrator, reason: 'unreachable' }],
  'segment-retried': [{ kind: 'segment-retried', manifestId, sequence: 1n, attempt: 2 }],
  'segment-resent': [{ kind: 'segment-resent', manifestId, sequence: 1n, orchestrator, cause: 'in-transit' }],
  'attempt-failed': [
    { kind: 'attempt-failed', ...at },
    { kind: 'attempt-failed', ...at, fault: 'payment-refused' },
  ],
  'segment-tried': [
    {
      ...{ kind: 'segment-tried', streamId: manifestId, ...segment, bytes: 9, startedMs: 1, tookMs: 500 },
      ...{ isDone: false, attempts: [{ orchestrator, address: sender, tookMs: 500, error: 'away' }] },
    },
  ],
  'result-compared': [
    { kind: 'result-compared', manifestId, sequence: 1n, orchestrator, fault: null },
    { kind: 'result-compared', manifestId, sequence: 2n, orchestrator, fault: 'signature' },
    { kind: 'result-compared', manifestId, sequence: 3n, orchestrator, fault: 'sound' },
  ],
  'result-judged': VERIFIER_VERDICTS.map((verdict) => ({
    ...{ kind: 'result-judged', manifestId, orchestrator, verdict, tookMs: 300 },
  })),
  'orchestrator-suspended': [{ kind: 'orchestrator-suspended', manifestId, orchestrator, reason: 'away' }],
  'orchestrator-swapped': [{ kind: 'orchestrator-swapped', manifestId, reason: 'slow' }],
  'stream-judged': [{ kind: 'stream-judged', outcome: 'allowed', tookMs: 120 }],
  'publisher-answered': [0.1, 0.4, 0.8, 1.5, 3].map((part) => ({
    ...{ kind: 'publisher-answered', manifestId, durationMs: 2_000, tookMs: 2_000 * part },
    clientIp: '127.0.0.1',
  })),
  'publisher-left': [
    { kind: 'publisher-left', manifestId, before: 'result', clientIp: '127.0.0.1' },
    { kind: 'publisher-left', manifestId, before: 'end-of-answer', clientIp: '127.0.0.1' },
  ],
  'segment-done': [
    {
      ...{ kind: 'segment-done', side: 'gateway', ...segment, ...result, renditions: 2, attempts: 2 },
      ...{ orchestrator, orchestratorAddress: sender, orchestratorVersion: '0.9.1', latencyScore: 0.2 },
      ...{ transcodeMs: 300, isTrusted: true, isVerified: false, clientIp: '127.0.0.1' },
    },
    {
      ...{ kind: 'segment-done', side: 'orchestrator', sessionId: 'a', manifestId, price: null, ...result },
      ...{ durationMs: 2_000, renditions: 2, clientIp: '127.0.0.1' },
    },
    { kind: 'segment-done', side: 'transcoder', durationMs: 2_000, ...result },
  ],
  'segment-failed': [
    {
      ...{ kind: 'segment-failed', side: 'gateway', manifestId, sequence: 2n },
      ...{ failure: 'max-attempts', fault: 'segment-refused', reason: 'away' },
    },
    {
      kind: 'segment-failed',
      side: 'orchestrator',
      sessionId: 'a',
      failure: 'busy',
      reason: 'OrchestratorBusy',
    },
    { kind: 'segment-failed', side: 'transcoder', failure: 'transcode', reason: 'No keyframes in input' },
  ],
  'segment-uploaded': [
    { kind: 'segment-uploaded', side: 'gateway', manifestId, orchestrator, tookMs: 30 },
    { kind: 'segment-uploaded', side: 'transcoder', tookMs: 30 },
  ],
  'recording-saved': [
    { kind: 'recording-saved', manifestId, rendition: 'source', tookMs: 20 },
    { kind: 'recording-saved', manifestId, rendition: 'tiny', tookMs: 20 },
  ],
  'recording-save-failed': [{ kind: 'recording-save-failed', manifestId, rendition: 'tiny', reason: 'away' }],
  'recording-lost': [{ kind: 'recording-lost', manifestId, segments: 2 }],
  'segment-downloaded': [{ kind: 'segment-downloaded', manifestId, orchestrator, tookMs: 30 }],
  'event-dropped': [
    { kind: 'event-dropped', queue: 'amqp', eventType: 'transcode' },
    { kind: 'event-dropped', queue: 'kafka', eventType: 'stream-begun' },
  ],
  'round-begun': [{ kind: 'round-begun', round: 7n }],
  'round-initialized': [{ kind: 'round-initialized', round: 7n, fee: 3n }],
  'round-initialization-failed': [{ kind: 'round-initialization-failed', round: 7n, reason: 'away' }],
  'reward-called': [{ kind: 'reward-called', round: 7n, reward: 10n ** 18n, fee: 3n, txHash: '0x01' }],
  'reward-failed': [{ kind: 'reward-failed', round: 7n, reason: 'away' }],
  'rewards-missed': [{ kind: 'rewards-missed', first: 5n, last: 6n }],
  'segment-handed-over': [{ kind: 'segment-handed-over', sibling: '10.0.0.6:8935', outcome: 'answered' }],
  'peer-up': [{ kind: 'peer-up', peer: 'transcoder', ...labels, capacity: 2, version: '1' }],
  'peer-down': [{ kind: 'peer-down', peer: 'transcoder', ...labels, reason: 'silent', running: 0 }],
  'transcoders-changed': [{ kind: 'transcoders-changed', count: 1, capacity: 5, load: 2 }],
  'problem-begun': [{ kind: 'problem-begun', ...CAUSE, about: '', side: 'operator' }],
  'problem-repeated': [{ kind: 'problem-repeated', ...CAUSE, about: '', side: 'operator' }],
  'problem-ended': [
    { kind: 'problem-ended', code: CAUSE.code, about: '', side: 'operator', count: 1, lastedMs: 1 },
  ],
  'setting-changed': [{ kind: 'setting-changed', setting: 'maxSessions', from: '1', to: '2' }],
}

/** One event of each kind and side that a node can tell. */
export const EVERY_EVENT: readonly NodeEvent[] = Object.values(EVERY).flat()
