import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NodeError } from '../lib/errors.ts'
import { explanationsOf, problems, refusals } from './explain.ts'
import { refusalIn } from './refusal-table.ts'
import { causeOfRefusal } from './refused-payment.ts'

const namesOf = (asked: string) => explanationsOf(asked).map(({ name }) => name)

const CASES: readonly (readonly [asked: string, names: readonly string[]])[] = [
  ['no-deposit', ['no-deposit']],
  // A line of the log.
  [
    '2026-11-29T12:00:00.000Z WARN  redeemer not answering, winning tickets are kept  redeemer=r:8935',
    ['redeemer-away'],
  ],
  ['OrchestratorCapped', ['OrchestratorCapped']],
  ['orchestratorcapped', ['OrchestratorCapped']],
  // What surrounds the text does not matter, and the longest one counts.
  [
    'payment error: invalid ticket senderNonce: already seen sender=0xab nonce=3',
    ['invalid ticket senderNonce: already seen'],
  ],
  ['orchestrator 0xab is inactive in round 7, cannot process payments', ['is inactive in round']],
  ['deposit and reserve for sender 0xab is set to unlock soon', ['deposit and reserve for sender']],
  // Part of a text.
  ['senderNonce', refusals().flatMap(({ name }) => (name.includes('senderNonce') ? [name] : []))],
  ['nonsense', []],
  ['  ', []],
]

for (const [asked, names] of CASES) {
  test(`"${asked}" is explained by ${names.length > 0 ? names.join(', ') : 'nothing'}`, () => {
    assert.deepEqual(namesOf(asked), names)
  })
}

/** Texts that a gateway compares exactly (wire.md §10). */
const COMPARED = [
  ...['Unsupported input pixel format', 'Error initializing filtergraph', 'Too many outputs'],
  ...['Unsupported input codec', 'No keyframes in input', 'Unrecoverable state, restart process'],
  ...[
    'Encoded frames runaway',
    'Decoder not found',
    'Demuxer not found',
    'Encoder not found',
    'Muxer not found',
  ],
  ...['Option not found', 'Invalid argument', 'TranscoderInvalidResolution', 'TranscoderInvalidVideo'],
  ...['TranscoderUnrecognizedFormat', 'TranscoderUnrecognizedProfile', 'TranscoderInvalidGOP'],
  ...['TranscoderIncompatibleDevices', 'OrchestratorBusy', 'OrchestratorCapped', 'ErrTranscoderUnavailable'],
  ...['MismatchedSegments', 'ZeroSegments', 'missing auth token', 'invalid auth token', 'expired auth token'],
]

test('every text that peers compare is explained, by itself', () => {
  assert.deepEqual(
    COMPARED.map((text) => refusalIn(text)?.text),
    COMPARED,
  )
})

test('every problem and refusal says who must act and what to change, and no name is there twice', () => {
  const all = [...problems(), ...refusals()]
  for (const { change, means, name } of all) assert.ok(means.length > 10 && change.length > 10, name)
  assert.equal(new Set(all.map(({ name }) => name.toLowerCase())).size, all.length)
})

test('a refused payment is a known problem, and its text a known refusal', () => {
  const text = 'invalid ticket signature'
  const parties = {
    recipient: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
    sender: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC',
  } as const
  const { code } = causeOfRefusal(new NodeError('invalid-signature', text), parties)!
  assert.deepEqual([namesOf(code), namesOf(text)], [['payment-refused'], [text]])
})
