import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeOutsideStore } from '../../../test/fakes/outside-store.ts'
import { noCauses } from '../../domain/causes.ts'
import { parseStoreAddress } from '../../domain/store-address.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Outlets } from './outlets.ts'

const at = (bucket: string, secret = 'x') => parseStoreAddress(`s3://k:${secret}@eu/${bucket}`)
const env = { clock: new ManualClock(), log: silentLog, causes: noCauses }

test('a stream is saved where the webhook says, otherwise in the gateway’s own store, otherwise nowhere', () => {
  const open = () => new FakeOutsideStore()
  const outlets = new Outlets({ own: at('own'), open }, env)
  const own = outlets.of(null)
  assert.ok(own)
  assert.notEqual(outlets.of(at('other')), own)
  assert.equal(new Outlets({ own: null, open }, env).of(null), null)
})

test('streams of one store share what is known of it, and at most a hundred stores of the webhook stay open', () => {
  const opened: string[] = []
  const open = (address: { shown: string }) => {
    opened.push(address.shown)
    return new FakeOutsideStore()
  }
  const outlets = new Outlets({ own: null, open }, env)
  assert.equal(outlets.of(at('bucket')), outlets.of(at('bucket')))
  assert.notEqual(outlets.of(at('bucket')), outlets.of(at('bucket', 'other')), 'with other keys')
  for (let i = 0; i < 200; i++) {
    outlets.of(at(`bucket-${i}`))
    outlets.of(at('bucket'))
  }
  assert.equal(outlets.open, 100)
  assert.equal(opened.filter((shown) => shown === 's3://eu/bucket').length, 2)
})

test('what the gateway’s own store takes is loaded before its first segment, and no other', async () => {
  let loaded = 0
  const open = () => Object.assign(new FakeOutsideStore(), { prepare: async () => void loaded++ })
  const outlets = new Outlets({ own: at('own'), open }, env)
  outlets.of(at('other'))
  await outlets.prepare()
  assert.equal(loaded, 1)
  await new Outlets({ own: null, open }, env).prepare()
  assert.equal(loaded, 1)
})
