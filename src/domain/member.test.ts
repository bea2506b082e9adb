import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sharesKey } from './member.ts'

test('two nodes share a key if they have one account and would send other transactions with it', () => {
  const own = { account: '0xA', roles: ['redeemer'] }
  const orchestrator = { account: '0xB', roles: ['orchestrator', 'transcoder'] }
  const twin = { account: '0xA', roles: ['redeemer'] }
  const reward = { account: '0xA', roles: ['reward'] }
  assert.equal(sharesKey(own, [orchestrator, twin]), null)
  assert.equal(sharesKey(own, [orchestrator, twin, reward]), reward)
  const remote = { account: '0xB', roles: ['orchestrator'] }
  assert.equal(sharesKey(orchestrator, [remote]), null, 'a transcoder sends nothing')
  const offchain = { account: '', roles: ['orchestrator'] }
  assert.equal(sharesKey(offchain, [{ account: '', roles: ['reward'] }]), null)
})
