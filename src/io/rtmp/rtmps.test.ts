import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { FakeStreams } from '../../../test/fakes/published-streams.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { plainHello, publishing } from '../../../test/net/rtmp.ts'
import { RtmpClient } from '../../../test/net/rtmp-client.ts'
import { eventually } from '../../../test/tools/until.ts'
import { ManualClock } from '../../lib/clock.ts'
import { seededDice, systemDice } from '../../lib/dice.ts'
import { Supervisor } from '../../lib/service.ts'
import { makeCertificate } from '../rpc/certificate.ts'
import { RtmpPort, type RtmpPortOptions } from './rtmp-port.ts'

const DAY_MS = 24 * 3_600_000

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-rtmps-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Certificate and key of a host, as of the manual clock's beginning. */
function identity(name: string, days = 90) {
  const names = { name, dnsNames: [name], ipAddresses: [], issuer: null, validMs: days * DAY_MS }
  return makeCertificate(
    { ...names, mayCall: false, mayServe: true, maySign: false },
    { clock: new ManualClock(), dice: systemDice },
  )
}

function write(
  folder: string,
  { cert, key }: { cert: string; key: string },
  names = ['cert.pem', 'key.pem'],
) {
  writeFileSync(join(folder, names[0]!), cert)
  writeFileSync(join(folder, names[1]!), key)
}

async function setUp(t: TestContext, certFolder: string, options: Partial<RtmpPortOptions> = {}) {
  const gateway = new FakeStreams()
  const clock = new ManualClock()
  const log = new RecordingLog()
  const supervisor = new Supervisor()
  const port = new RtmpPort(
    { host: '127.0.0.1', port: 0, maxDurationMs: 60_000, certFolder, ...options },
    { gateway, clock, dice: seededDice('rtmps'), log },
  )
  t.after(() => supervisor.stop())
  await supervisor.start(port)
  return { gateway, clock, log, port, supervisor }
}

async function tls(port: number): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

/** The name in the certificate that a client is shown. */
async function shownAt(port: number): Promise<string> {
  const socket = await tls(port)
  const { CN } = socket.getPeerCertificate().subject
  socket.destroy()
  return String(CN)
}

for (const names of [
  ['fullchain.pem', 'privkey.pem'],
  ['tls.crt', 'tls.key'],
  ['cert.pem', 'key.pem'],
]) {
  test(`a publisher over rtmps is served with ${names.join(' and ')}`, async (t) => {
    const folder = folderOf(t)
    write(folder, identity('gw.example'), names)
    const { gateway, port, supervisor } = await setUp(t, folder)
    const publisher = await new RtmpClient(await tls(port.port)).begin(...publishing('live', 'movie'))
    await publisher.hears('NetStream.Publish.Start')
    assert.deepEqual([...gateway.names], ['movie'])
    publisher.socket.end()
    await eventually('its end', () => gateway.names.size === 0)
    const waiting = await tls(port.port)
    await supervisor.stop()
    await eventually('the end of all connections', () => waiting.destroyed || waiting.readableEnded)
  })
}

test('a publisher without TLS is told nothing, and harms nobody', async (t) => {
  const folder = folderOf(t)
  write(folder, identity('gw.example'))
  const { gateway, log, port } = await setUp(t, folder)
  const plain = connectPlain(port.port, '127.0.0.1')
  plain.on('error', () => {})
  plain.resume().write(plainHello())
  await once(plain, 'close')
  assert.ok(log.of('debug').includes('RTMP client refused'))
  assert.equal(log.of('warn').length + log.of('error').length, 0)
  const publisher = await new RtmpClient(await tls(port.port)).begin(...publishing('live', 'movie'))
  await publisher.hears('NetStream.Publish.Start')
  assert.equal(gateway.names.size, 1)
})

test('connections count before they have agreed on TLS', async (t) => {
  const folder = folderOf(t)
  write(folder, identity('gw.example'))
  const { port, log } = await setUp(t, folder, { maxConnectionsPerHost: 2 })
  const silent = [connectPlain(port.port, '127.0.0.1'), connectPlain(port.port, '127.0.0.1')]
  for (const socket of silent) socket.on('error', () => {})
  await Promise.all(silent.map((socket) => once(socket, 'connect')))
  const third = connectPlain(port.port, '127.0.0.1')
  third.on('error', () => {})
  await once(third.resume(), 'close')
  assert.ok(log.lines.some(({ fields }) => fields.reason === 'too many connections of one host'))
  silent[0]!.destroy()
  await eventually('room for another', async () => {
    const socket = connect({ port: port.port, host: '127.0.0.1', rejectUnauthorized: false })
    const isIn = await new Promise<boolean>((resolve) => {
      socket.once('secureConnect', () => resolve(true)).on('error', () => resolve(false))
    })
    socket.destroy()
    return isIn
  })
})

test('a renewed certificate is shown to those who come later, and one that cannot be used is not', async (t) => {
  const folder = folderOf(t)
  const files = ['fullchain.pem', 'privkey.pem']
  /** As certbot does it: links to files of other names. */
  const renew = (name: string, archive: string, days?: number) => {
    mkdirSync(join(folder, archive))
    write(join(folder, archive), identity(name, days), files)
    for (const file of files) {
      rmSync(join(folder, file), { force: true })
      symlinkSync(join(archive, file), join(folder, file))
    }
  }
  renew('one.example', 'archive1')
  const { clock, log, port } = await setUp(t, folder)
  assert.equal(await shownAt(port.port), 'one.example')
  renew('two.example', 'archive2')
  const looked = async (what: string, is: () => boolean | Promise<boolean>) =>
    eventually(what, async () => {
      await clock.wind(10_000)
      return is()
    })
  await looked('the new certificate', async () => (await shownAt(port.port)) === 'two.example')
  assert.ok(log.of('info').includes('RTMP certificate changed'))

  unlinkSync(join(folder, 'privkey.pem'))
  writeFileSync(join(folder, 'privkey.pem'), identity('other.example').key)
  const failed = 'changed RTMP certificate cannot be used, the one before stays'
  await looked('the refusal', () => log.of('info').includes(failed))
  const { fields } = log.lines.find(({ message }) => message === failed)!
  assert.equal(
    fields.reason,
    `-rtmpCert ${folder} cannot be used: privkey.pem is not the key of fullchain.pem`,
  )
  assert.equal(await shownAt(port.port), 'two.example')
  renew('three.example', 'archive3', 3)
  await looked('the next certificate', async () => (await shownAt(port.port)) === 'three.example')
  assert.ok(log.of('warn').includes('RTMP certificate expires soon'))
})

const refusals: readonly (readonly [what: string, fill: (folder: string) => void, says: RegExp])[] = [
  [
    'an empty folder',
    () => {},
    /^-rtmpCert \S+ holds no certificate: it must have fullchain\.pem and privkey\.pem, tls\.crt and tls\.key, cert\.pem and key\.pem$/,
  ],
  [
    'a certificate without its key',
    (folder) => writeFileSync(join(folder, 'fullchain.pem'), identity('a').cert),
    /^-rtmpCert \S+ cannot be used: privkey\.pem cannot be read \(ENOENT\)$/,
  ],
  [
    'something else than PEM',
    (folder) => write(folder, { cert: 'hush', key: 'hush' }),
    /^-rtmpCert \S+ cannot be used: cert\.pem and key\.pem must be PEM \((?!.*hush).*\)$/,
  ],
  [
    'the key of another certificate',
    (folder) => write(folder, { cert: identity('a').cert, key: identity('b').key }),
    /^-rtmpCert \S+ cannot be used: key\.pem is not the key of cert\.pem$/,
  ],
  [
    'a file without end',
    (folder) => write(folder, { cert: 'x'.repeat(1_000_001), key: '' }),
    /^-rtmpCert \S+ cannot be used: cert\.pem cannot be read \(it has 1000001 bytes, of at most 1000000\)$/,
  ],
]
for (const [what, fill, says] of refusals) {
  test(`${what} keeps the port from opening, with a reason`, async (t) => {
    const folder = folderOf(t)
    fill(folder)
    await assert.rejects(setUp(t, folder), { code: 'bad-rtmp-cert', message: says })
  })
}

test('one that has expired is used, with a warning: many publishers do not check', async (t) => {
  const folder = folderOf(t)
  write(folder, identity('gw.example', -1))
  const { log, port } = await setUp(t, folder)
  assert.deepEqual(log.of('warn'), ['RTMP certificate has expired'])
  assert.equal(await shownAt(port.port), 'gw.example')
})
