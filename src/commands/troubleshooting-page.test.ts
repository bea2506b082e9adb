import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { CAUSES } from '../domain/cause-table.ts'
import { problemExamples } from './status/problem-examples.ts'
import { SYMPTOMS, troubleshootingPage } from './troubleshooting-page.ts'

test('docs/troubleshooting.md says what status and nodes say (to update it: npm run docs)', () => {
  const page = readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8')
  assert.equal(page, troubleshootingPage())
})

test('every problem belongs to exactly one symptom', () => {
  assert.deepEqual(SYMPTOMS.flatMap(({ causes }) => causes).sort(), Object.keys(CAUSES).sort())
  assert.deepEqual(SYMPTOMS.flatMap(({ groups }) => groups).sort(), Object.keys(problemExamples()).sort())
})

test('each sentence that status concludes has an example, and each example says one thing', () => {
  const source = readFileSync(new URL('./status/problems.ts', import.meta.url), 'utf8')
  const said = Object.values(problemExamples()).flat()
  assert.equal(new Set(said).size, said.length)
  // The fixed words of each sentence in the code, as far as they are long enough to be told apart.
  const words = [...source.matchAll(/`([^`]*)`/g)]
    .flatMap(([, sentence]) => sentence!.split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/))
    .map((part) => part.trim())
    .filter((part) => part.length > 25)
  assert.ok(words.length > 30, `${words.length}`)
  const missing = words.filter((part) => !said.some((sentence) => sentence.includes(part)))
  assert.deepEqual(missing, [])
})
