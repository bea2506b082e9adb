import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { systemDice } from '../../lib/dice.ts'
import { expiryWarning, makeOwnCerts, readOwnCerts } from './own-certs.ts'

const DAY_MS = 24 * 3600 * 1000

function scene(t: TestContext, nowMs = Date.UTC(2026, 0, 1)) {
  const parent = mkdtempSync(join(tmpdir(), 'livepeer-own-certs-'))
  t.after(() => rmSync(parent, { recursive: true, force: true }))
  const directory = join(parent, 'certs')
  const clock = new ManualClock(nowMs)
  const needs = { clock, dice: systemDice }
  return {
    ...{ clock, directory },
    make: (...nodes: [name: string, hosts: string[]][]) =>
      makeOwnCerts(
        directory,
        nodes.map(([name, hosts]) => ({ name, hosts })),
        needs,
      ),
    read: (name: string) => readOwnCerts(join(directory, name), needs),
    at: (...path: string[]) => join(directory, ...path),
  }
}

test('each node gets a folder with what it needs, readable only by its owner', (t) => {
  const { at, make, read } = scene(t)
  assert.deepEqual(make(['redeemer', ['10.0.0.5', 'redeemer.internal', '2001:db8::1:0:7']]), {
    isNewAuthority: true,
  })
  for (const file of ['ca.pem', 'ca-key.pem', 'redeemer/ca.pem', 'redeemer/cert.pem', 'redeemer/key.pem'])
    assert.equal(statSync(at(file)).mode & 0o777, 0o600, file)
  for (const folder of ['', 'redeemer']) assert.equal(statSync(at(folder)).mode & 0o777, 0o700, folder)
  assert.equal(existsSync(at('redeemer', 'ca-key.pem')), false, 'no node has the authority’s key')

  const own = read('redeemer')
  const [authority, certificate] = [new X509Certificate(own.ca), new X509Certificate(own.cert)]
  assert.equal(authority.ca, true)
  assert.equal(certificate.ca, false)
  assert.ok(certificate.checkIssued(authority))
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
  assert.equal(certificate.subject, 'CN=redeemer')
  for (const ip of ['10.0.0.5', '2001:db8:0:0:0:1:0:7']) assert.equal(certificate.checkIP(ip), ip)
  assert.equal(certificate.checkHost('redeemer.internal'), 'redeemer.internal')
  assert.equal(certificate.checkHost('redeemer'), undefined)
})

test('a new node gets its certificate from the same authority, and nothing is overwritten', (t) => {
  const { at, make, read } = scene(t)
  make(['one', ['one']])
  const key = readFileSync(at('one', 'key.pem'), 'utf8')
  assert.deepEqual(make(['two', ['two']]), { isNewAuthority: false })
  assert.equal(read('two').ca, read('one').ca)
  assert.throws(() => make(['three', ['three']], ['one', ['one']]), {
    code: 'bad-certs',
    message: `${at('one')} already exists: remove it first if one should get a new certificate`,
  })
  assert.equal(existsSync(at('three')), false)
  assert.equal(readFileSync(at('one', 'key.pem'), 'utf8'), key)
})

test('an incomplete authority is not replaced', (t) => {
  const { at, make } = scene(t)
  make(['one', ['one']])
  rmSync(at('ca-key.pem'))
  assert.throws(() => make(['two', ['two']]), {
    message: `${at('ca.pem')} exists, but ca-key.pem, which signs new certificates, is missing: restore it, or give another folder`,
  })
  copyFileSync(at('one', 'key.pem'), at('ca-key.pem'))
  assert.throws(() => make(['two', ['two']]), { message: /are not a certificate and its key/ })
})

test('an unusable folder is refused with what to change', async (t) => {
  const { at, clock, make, read } = scene(t)
  make(['one', ['one']], ['two', ['two']])
  const other = scene(t)
  other.make(['stranger', ['stranger']])

  assert.throws(() => read('nowhere'), {
    code: 'bad-certs',
    message: /nowhere\/ca\.pem cannot be read \(.*\): -certs is a node's folder as 'livepeer certs' made it$/,
  })
  const cert = readFileSync(at('one', 'cert.pem'))
  copyFileSync(at('two', 'cert.pem'), at('one', 'cert.pem'))
  assert.throws(() => read('one'), {
    message: `key.pem and cert.pem of -certs ${at('one')} do not belong together`,
  })
  writeFileSync(at('one', 'cert.pem'), 'no certificate')
  assert.throws(() => read('one'), { message: /^-certs .*one does not hold certificates/ })
  writeFileSync(at('one', 'cert.pem'), cert)
  copyFileSync(other.at('stranger', 'ca.pem'), at('one', 'ca.pem'))
  assert.throws(() => read('one'), {
    message: `cert.pem of -certs ${at('one')} was not signed by the ca.pem beside it`,
  })

  assert.equal(expiryWarning(read('two'), clock.now()), null)
  const { expiresAtMs } = read('two')
  assert.match(
    expiryWarning(read('two'), expiresAtMs - 29 * DAY_MS)!,
    /^the certificates of -certs expire on 2036-01-0\d: make new ones/,
  )
  await clock.wind(expiresAtMs - clock.now())
  assert.throws(() => read('two'), { message: /expired on 2036-01-0\d: make new ones with 'livepeer certs'/ })
})

test('certificates that last beyond 2049 are encoded correctly', (t) => {
  const { make, read } = scene(t, Date.UTC(2045, 5, 1))
  make(['one', ['one']])
  assert.equal(new Date(read('one').expiresAtMs).getUTCFullYear(), 2055)
})
