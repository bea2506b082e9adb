import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeHardware, isTranscoderName, MAX_TRANSCODER_NAME, shownLabels } from './transcoder-notice.ts'

test('a transcoder is named by up to 64 printable characters', () => {
  for (const name of ['atelier-3', 'Küche, links', '東京 2', 'x'.repeat(MAX_TRANSCODER_NAME)])
    assert.ok(isTranscoderName(name), name)
  for (const name of ['', '  ', 'a\nb', 'a\u202eb', '\x1b[2J', 'x'.repeat(MAX_TRANSCODER_NAME + 1)])
    assert.ok(!isTranscoderName(name), JSON.stringify(name))
})

test('what a transcoder says of itself is cut, and cannot control a terminal', () => {
  assert.deepEqual(shownLabels({}), { name: '', hardware: '' })
  const name = ` \x1b[31mred\n${'x'.repeat(1_000_000)}`
  const shown = shownLabels({ name, hardware: `\u0000GPU 0\ud800${'😀'.repeat(1_000)}` })
  assert.ok(shown.name.startsWith('[31mred') && shown.name.length <= MAX_TRANSCODER_NAME, shown.name)
  assert.ok(shown.hardware.startsWith('GPU 0😀') && shown.hardware.length <= 80)
  for (const text of Object.values(shown)) assert.doesNotMatch(text, /[\p{C}\p{Zl}\p{Zp}]/u)
  assert.deepEqual(shownLabels(shown), shown)
})

test('hardware is told as GPUs by number, or as cores', () => {
  assert.equal(describeHardware(['0'], 8), 'GPU 0')
  assert.equal(describeHardware(['0', '3'], 8), 'GPUs 0, 3')
  assert.equal(describeHardware([], 8), '8 cores')
  assert.equal(describeHardware([null], 1), '1 core')
})
