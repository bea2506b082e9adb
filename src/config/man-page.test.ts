import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { manPage, wizardManPage } from './man-page.ts'

test('docs/livepeer.1 matches the table of flags (to update it: npm run docs)', () => {
  assert.equal(readFileSync(new URL('../../docs/livepeer.1', import.meta.url), 'utf8'), manPage())
})

test('docs/livepeer_cli.1 matches the table of its flags (to update it: npm run docs)', () => {
  assert.equal(readFileSync(new URL('../../docs/livepeer_cli.1', import.meta.url), 'utf8'), wizardManPage())
})

test('no line of the manual pages is a request by accident', () => {
  const requests = [manPage(), wizardManPage()]
    .flatMap((page) => page.split('\n'))
    .filter((line) => /^[.']/.test(line))
  assert.deepEqual(
    [...new Set(requests.map((line) => line.split(' ')[0]))].sort(),
    ['.B', '.BR', '.I', '.RE', '.RS', '.SH', '.TH', '.TP', '.\\"', '.br'].sort(),
  )
})
