import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bestFailedResult,
  faultOfRefusal,
  faultOfText,
  isDisprovedByDecoding,
  submissionTimeouts,
} from './attempt.ts'

test('only the exact texts about bad input end the tries, and the texts about missing room are told apart', () => {
  for (const [text, fault] of [
    ['No keyframes in input', 'not-retryable'],
    ['TranscoderInvalidGOP', 'not-retryable'],
    ['no keyframes in input', 'error-in-result'],
    ['No keyframes in input.', 'error-in-result'],
    ['OrchestratorBusy', 'unable'],
    ['no transcoders available', 'unable'],
    ['no transcoders', 'error-in-result'],
    ['', 'error-in-result'],
  ] as const)
    assert.equal(faultOfText(text, 'error-in-result'), fault)
  assert.equal(faultOfText('OrchestratorCapped', 'refused'), 'unable')
  assert.equal(faultOfText('Insufficient balance', 'refused'), 'refused')
})

test('a status of balancers is theirs unless an orchestrator’s own text comes with it', () => {
  const page = '<html><body><h1>503 Service Unavailable</h1>'
  for (const [status, text, fault, reason] of [
    [502, '', 'unavailable', 'a balancer or proxy answered 502 Bad Gateway'],
    [503, page, 'unavailable', 'a balancer or proxy answered 503 Service Unavailable'],
    [504, 'upstream', 'unavailable', 'a balancer or proxy answered 504 Gateway Timeout'],
    [503, 'OrchestratorBusy', 'unable', 'OrchestratorBusy'],
    [502, 'No keyframes in input', 'not-retryable', 'No keyframes in input'],
    [500, 'Internal Server Error', 'unable', 'Internal Server Error'],
    [400, 'Insufficient balance', 'refused', 'Insufficient balance'],
    [403, '', 'refused', ''],
  ] as const)
    assert.deepEqual(faultOfRefusal(status, text), { fault, reason })
})

test('every text after which peers do not retry ends the tries (transcoding.md §9)', () => {
  for (const text of [
    'Unsupported input pixel format',
    'Error initializing filtergraph',
    'Too many outputs',
    'Unsupported input codec',
    'No keyframes in input',
    'Unrecoverable state, restart process',
    'Encoded frames runaway',
    'Decoder not found',
    'Demuxer not found',
    'Encoder not found',
    'Muxer not found',
    'Option not found',
    'Invalid argument',
    'TranscoderInvalidResolution',
    'TranscoderInvalidVideo',
    'TranscoderUnrecognizedFormat',
    'TranscoderUnrecognizedProfile',
    'TranscoderInvalidGOP',
    'TranscoderIncompatibleDevices',
  ])
    assert.equal(faultOfText(text, 'error-in-result'), 'not-retryable', text)
  for (const text of ['TranscoderInvalidDuration', 'TranscoderInvalidClipConfig', 'Media worker died'])
    assert.equal(faultOfText(text, 'error-in-result'), 'error-in-result', text)
})

test('a decoded input disproves what was said of the input, not what was said of the renditions', () => {
  assert.ok(isDisprovedByDecoding('No keyframes in input'))
  assert.ok(isDisprovedByDecoding('TranscoderInvalidVideo'))
  // Timestamps, profiles and hardware may be at fault however well the input can be decoded.
  for (const text of ['Encoded frames runaway', 'TranscoderInvalidGOP', 'Unsupported input pixel format', ''])
    assert.equal(isDisprovedByDecoding(text), false, text)
})

test('timeouts grow with the segment and never fall below their minimum', () => {
  const table: readonly [number, number, number, number][] = [
    [0, 1, 2000, 8000],
    [2000, 1, 2000, 8000],
    [4000, 0, 2000, 16_000],
    [10_000, 1, 5000, 40_000],
    [10_000, 3, 15_000, 120_000],
    [2000, -5, 2000, 8000],
    [2000, 1e9, 40_000, 160_000],
  ]
  for (const [durationMs, multiplier, headerMs, totalMs] of table)
    assert.deepEqual(submissionTimeouts(durationMs, multiplier), { headerMs, totalMs })
})

test('the third result that fails verification ends the tries, and the best of the three is used', () => {
  const results = [1, 3, 2].map((score) => ({ score }))
  assert.equal(bestFailedResult(results.slice(0, 1)), null)
  assert.equal(bestFailedResult(results.slice(0, 2)), null)
  assert.equal(bestFailedResult(results)?.score, 3)
})
