import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AlertForm, alertTargetOf } from './alert-target.ts'

test('the form of a URL chooses that of the message', () => {
  const cases: readonly (readonly [string, AlertForm | null, string])[] = [
    ['https://a.example/x?y', 'webhook', 'https://a.example/x?y'],
    ['http://u:p@a.example', 'webhook', 'http://u:p@a.example/'],
    ['slack+https://hooks.slack.com/services/T/B/X', 'slack', 'https://hooks.slack.com/services/T/B/X'],
    ['Discord+https://discord.com/api/webhooks/1/a', 'discord', 'https://discord.com/api/webhooks/1/a'],
    ['alertmanager+http://am:9093', 'alertmanager', 'http://am:9093/api/v2/alerts'],
    ['alertmanager+http://am:9093/am/api/v2/alerts', 'alertmanager', 'http://am:9093/am/api/v2/alerts'],
    ['webhook+https://a.example', null, ''],
    ['teams+https://a.example', null, ''],
    ['ftp://a.example', null, ''],
    ['a.example', null, ''],
    ['https://', null, ''],
  ]
  for (const [text, form, url] of cases) {
    assert.deepEqual(alertTargetOf(text), form && { form, url }, text)
  }
})
