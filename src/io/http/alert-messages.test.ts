import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AlertForm, ToldAlert } from '../../domain/alert-target.ts'
import { alertMessage } from './alert-messages.ts'

const NOW = Date.UTC(2026, 10, 25, 12)
const firing: ToldAlert = {
  ...{ code: 'gpu-out-of-service', about: '3', says: 'the GPU <3> & "4"', change: 'check it' },
  ...{ sinceMs: NOW - 120_000, endedAtMs: null },
}
const over: ToldAlert = { ...firing, endedAtMs: NOW }
const told = (form: AlertForm, ...alerts: ToldAlert[]) =>
  alertMessage(form, alerts, { node: 'n1', nowMs: NOW })

test('a webhook takes JSON with an id by which the two messages of an alert belong together', () => {
  const common = {
    ...{
      id: `gpu-out-of-service/3/${NOW - 120_000}`,
      alert: 'gpu-out-of-service',
      title: 'GPU out of service',
    },
    ...{ severity: 'critical', about: '3', says: firing.says, change: 'check it', sinceMs: NOW - 120_000 },
  }
  assert.deepEqual(told('webhook', firing, over), {
    ...{ version: 1, node: 'n1' },
    alerts: [
      { ...common, status: 'firing', endedAtMs: null },
      { ...common, status: 'over', endedAtMs: NOW },
    ],
  })
})

test('chats take a text without mark-up that calls nobody, and never one that is too long', () => {
  assert.deepEqual(told('slack', firing, over), {
    text: 'CRITICAL: GPU out of service (n1): the GPU ‹3› + "4". To do: check it\nOver after 2 min: GPU out of service (n1): the GPU ‹3› + "4"',
  })
  const { allowed_mentions: mentions, content } = told('discord', {
    ...firing,
    says: '@everyone '.repeat(999),
  }) as {
    content: string
    allowed_mentions: unknown
  }
  assert.equal(content.length, 2_000)
  assert.deepEqual(mentions, { parse: [] })
})

test('Alertmanager takes labels, and when an alert ends unless it is told again', () => {
  const labels = { alertname: 'LivepeerGpuOutOfService', severity: 'critical', node: 'n1', about: '3' }
  const annotations = { summary: 'GPU out of service', description: `${firing.says}: check it` }
  const startsAt = '2026-11-25T11:58:00.000Z'
  assert.deepEqual(told('alertmanager', firing, over), [
    { labels, annotations, startsAt, endsAt: '2026-11-25T12:05:00.000Z' },
    { labels, annotations, startsAt, endsAt: '2026-11-25T12:00:00.000Z' },
  ])
})
