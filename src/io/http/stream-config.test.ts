import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseStreamConfig } from './stream-config.ts'

const names = (header: string) => parseStreamConfig(header).profiles?.map(({ name }) => name) ?? null

test('presets come before profiles, and without either the gateway decides', () => {
  const table: readonly [string, string[] | null][] = [
    ['{}', null],
    ['null', null],
    ['{"presets":[]}', null],
    ['{"profiles":null,"presets":null}', null],
    ['{"profiles":[]}', []],
    ['{"presets":["nonsense"]}', []],
    ['{"presets":["P144p30fps16x9","nonsense"]}', ['P144p30fps16x9']],
    ['{"presets":["P144p30fps16x9"],"profiles":[{"name":"x"}]}', ['P144p30fps16x9', 'x']],
    ['{"profiles":[{"width":1,"height":2,"bitrate":3}]}', ['custom_1x2_3']],
  ]
  for (const [header, expected] of table) assert.deepEqual(names(header), expected, header)
})

test('per-segment fields are read too, and unknown ones are ignored', () => {
  assert.deepEqual(
    parseStreamConfig(
      '{"manifestID":"m","timeoutMultiplier":3,"forceSessionReinit":true,"verificationFreq":4,"detection":{},"streamID":"s","sessionID":"t"}',
    ),
    {
      ...{ manifestId: 'm', profiles: null, timeoutMultiplier: 3, forceSessionReinit: true },
      ...{ verificationFrequency: 4, streamId: 's', sessionId: 't' },
    },
  )
  assert.equal(parseStreamConfig('{"manifestID":""}').manifestId, null)
})

test('the header is read as UTF-8', () => {
  const header = Buffer.from('{"manifestID":"zoë"}', 'utf8').toString('latin1')
  assert.equal(parseStreamConfig(header).manifestId, 'zoë')
})

test('malformed and unsupported fields are refused by name', () => {
  const table: readonly [string, RegExp][] = [
    ['', /JSON/],
    ['{', /JSON/],
    ['[]', /object/],
    ['"x"', /object/],
    ['{"manifestID":5}', /manifestID/],
    ['{"presets":"P144p30fps16x9"}', /presets/],
    ['{"presets":[1]}', /presets\.0/],
    ['{"profiles":{}}', /profiles/],
    ['{"profiles":[{"width":-1}]}', /width/],
    ['{"profiles":[{"gop":"x"}]}', /gop/],
    ['{"profiles":[{"name":"a/b"}]}', /name/],
    ['{"profiles":[{},{}]}', /custom_0x0_0/],
    ['{"presets":["P144p30fps16x9","P144p30fps16x9"]}', /same name/],
    [
      JSON.stringify({ profiles: Array.from({ length: 11 }, (_, i) => ({ name: `p${i}` })) }),
      /11 renditions, more than 10/,
    ],
    ['{"timeoutMultiplier":1.5}', /timeoutMultiplier/],
    ['{"objectStore":"s3://a:b@c/d"}', /objectStore can only be set by the webhook of -authWebhookUrl/],
    [
      '{"recordObjectStore":"s3://a:b@c/d"}',
      /recordObjectStore can only be set by the webhook of -authWebhookUrl/,
    ],
    ['{"verificationFreq":-3}', /verificationFreq/],
    [JSON.stringify({ streamID: 'x'.repeat(513) }), /streamID has more than 512 characters/],
  ]
  for (const [header, message] of table)
    assert.throws(() => parseStreamConfig(header), { code: 'bad-stream-config', message }, header)
})
