import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { makeCertificate } from '../../src/io/rpc/certificate.ts'
import { RtmpPort } from '../../src/io/rtmp/rtmp-port.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { FakeStreams } from '../fakes/published-streams.ts'
import { RecordingLog } from '../fakes/recording-log.ts'
import { eventually } from '../tools/until.ts'

const isMissing = spawnSync('ffmpeg', ['-version'], { stdio: 'ignore' }).status !== 0

test('FFmpeg publishes over rtmps, and every frame arrives', {
  skip: isMissing && 'ffmpeg is not installed',
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-rtmps-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const names = { name: 'localhost', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], issuer: null }
  const { cert, key } = makeCertificate(
    { ...names, mayCall: false, mayServe: true, maySign: true, validMs: 30 * 86_400_000 },
    { clock: systemClock, dice: systemDice },
  )
  writeFileSync(join(folder, 'fullchain.pem'), cert)
  writeFileSync(join(folder, 'privkey.pem'), key)
  const gateway = new FakeStreams()
  const log = new RecordingLog()
  const port = new RtmpPort(
    { host: '127.0.0.1', port: 0, maxDurationMs: 60_000, certFolder: folder },
    { gateway, clock: systemClock, dice: systemDice, log },
  )
  const supervisor = new Supervisor()
  t.after(() => supervisor.stop())
  await supervisor.start(port)
  const publish = (scheme: string, name: string) =>
    promisify(execFile)('ffmpeg', [
      ...['-hide_banner', '-nostdin', '-v', 'error', '-f', 'lavfi', '-i', 'testsrc=size=160x90:rate=10'],
      ...['-t', '5', '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '20'],
      ...['-f', 'flv', `${scheme}://127.0.0.1:${port.port}/live/${name}`],
    ])
  await publish('rtmps', 'movie')
  await eventually('the end of the stream', () => gateway.ended.length === 1)
  assert.deepEqual(
    gateway.segments.map(({ durationMs, externalId }) => [externalId, Math.round(durationMs / 100)]),
    [
      ['movie', 20],
      ['movie', 20],
      ['movie', 10],
    ],
  )
  await assert.rejects(publish('rtmp', 'plain'))
  assert.deepEqual([...gateway.names], [])
  assert.deepEqual([log.of('warn'), log.of('error')], [[], []])
})
