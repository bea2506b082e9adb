import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { seededDice, systemDice } from '../../lib/dice.ts'
import { makeIdentity, saveIdentity } from './tls.ts'

test('the certificate has the form of the network’s nodes (wire.md §2)', () => {
  const clock = new ManualClock(Date.UTC(2025, 0, 2, 3, 4, 5))
  const identity = makeIdentity('orchestrator.example', { clock, dice: systemDice })
  const certificate = new X509Certificate(identity.cert)
  assert.equal(certificate.ca, true)
  // Versions of Node.js differ in how they report a missing subject.
  assert.equal(certificate.subject ?? '', '')
  assert.equal(certificate.subjectAltName, 'DNS:orchestrator.example')
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1'])
  assert.equal(certificate.validFromDate.toISOString(), '2025-01-02T03:04:05.000Z')
  assert.equal(certificate.validToDate.getTime() - certificate.validFromDate.getTime(), 8765 * 3600 * 1000)
  assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1')
  assert.ok(certificate.verify(certificate.publicKey))
  assert.ok(certificate.checkPrivateKey(createPrivateKey(identity.key)))
  assert.match(identity.key, /BEGIN EC PRIVATE KEY/)
  assert.equal(certificate.checkHost('orchestrator.example', { subject: 'never' }), 'orchestrator.example')
  // keyUsage and subjectAltName are critical: their extensions begin with id and TRUE.
  const raw = certificate.raw.toString('hex')
  assert.ok(raw.includes('0603551d0f0101ff040403020284'), 'key usage')
  assert.ok(raw.includes('0603551d110101ff'), 'alternative name')
  assert.ok(raw.includes('0603551d0e0416'), 'subject key identifier')
})

test('any serial number gives a valid certificate', () => {
  for (let seed = 0; seed < 50; seed++) {
    const identity = makeIdentity('127.0.0.1', { clock: new ManualClock(), dice: seededDice(`${seed}`) })
    const certificate = new X509Certificate(identity.cert)
    assert.ok(BigInt(`0x${certificate.serialNumber}`) < 2n ** 128n)
    assert.equal(certificate.subjectAltName, 'DNS:127.0.0.1')
  }
})

test('an IPv6 address is in the certificate as an IP address, with or without brackets', () => {
  for (const host of ['[2001:db8::1]', '2001:db8::1']) {
    const { cert } = makeIdentity(host, { clock: new ManualClock(), dice: systemDice })
    const certificate = new X509Certificate(cert)
    assert.equal(certificate.subjectAltName, 'IP Address:2001:DB8:0:0:0:0:0:1')
    assert.equal(certificate.checkIP('2001:db8::1'), '2001:db8::1')
  }
})

test('the key is readable only by its owner, even if a file with a looser mode existed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'livepeer-tls-'))
  try {
    writeFileSync(join(directory, 'key.pem'), 'old')
    chmodSync(join(directory, 'key.pem'), 0o644)
    const identity = makeIdentity('localhost', { clock: new ManualClock(), dice: systemDice })
    await saveIdentity(directory, identity)
    assert.equal(statSync(join(directory, 'key.pem')).mode & 0o777, 0o600)
    assert.equal(readFileSync(join(directory, 'key.pem'), 'utf8'), identity.key)
    assert.equal(readFileSync(join(directory, 'cert.pem'), 'utf8'), identity.cert)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
