import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SETUPS } from '../../devnet/setups.ts'
import { makeSegments } from '../media/media.ts'
import { until } from '../tools/until.ts'
import { DEVNET_MAIN, Devnet, nothingLeft } from './devnet-process.ts'

/** `npm start` as a user sees it. */

/** It stops in about a second; longer on a machine busy with other tests. */
const STOP_LIMIT_MS = 10_000

/** Interrupts it and checks that nothing is left. */
async function interrupted(devnet: Devnet): Promise<void> {
  const family = devnet.family()
  const { folder, ports } = devnet
  assert.ok(folder === null || existsSync(folder))
  const asked = performance.now()
  devnet.child.kill('SIGINT')
  const code = await devnet.ended
  const tookMs = performance.now() - asked
  assert.equal(code, 0, devnet.stdout + devnet.stderr)
  assert.ok(tookMs < STOP_LIMIT_MS, `it took ${Math.round(tookMs)} ms to stop`)
  await nothingLeft(family, ports)
  assert.ok(folder === null || !existsSync(folder), 'its folder is left')
}

test('the stream can be watched while it runs, and Ctrl-C leaves nothing behind', async () => {
  const devnet = new Devnet([])
  const [, playlistUrl] = await devnet.says(/^watch +(http\S+)$/m)
  await devnet.says(/^[1-9]\d* segments transcoded/m)
  const variant = await until(async () => {
    const master = await fetch(playlistUrl!)
    return /^demo\/P240p30fps16x9\.m3u8$/m.exec(await master.text())?.[0] ?? null
  }, 'a rendition in the master playlist')
  const master = await (await fetch(playlistUrl!)).text()
  assert.match(master, /RESOLUTION=640x360\ndemo\/source\.m3u8/, 'the size of the pattern')
  const media = new URL(variant, playlistUrl)
  const newest = async () => {
    const uris = (await (await fetch(media)).text()).split('\n').filter((line) => line.startsWith('/'))
    assert.ok(uris.length > 0 && uris.length <= 6, `${uris.length} segments in the window`)
    return uris.at(-1)!
  }
  const first = await newest()
  const segment = await fetch(new URL(first, playlistUrl))
  assert.equal(segment.status, 200)
  assert.ok((await segment.arrayBuffer()).byteLength > 1_000)
  await until(async () => ((await newest()) === first ? null : true), 'the next segment', 60_000)
  for (const line of ['$ livepeer -orchestrator -transcoder', '$ livepeer -gateway'])
    assert.ok(devnet.stdout.includes(line))
  await interrupted(devnet)
})

test('Ctrl-C while it is starting leaves nothing behind either', async () => {
  const devnet = new Devnet([])
  await devnet.says(/\$ livepeer -redeemer/)
  await interrupted(devnet)
})

test('--once streams a given file in a loop and ends with its figures as the last line', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-input-'))
  try {
    const file = join(folder, 'input.ts')
    await writeFile(file, Buffer.concat(await makeSegments(2, { startMs: 0, durationMs: 2_000 })))
    // More segments than the file has: it is played in a loop.
    const devnet = new Devnet([
      '--setup',
      'single',
      '--once',
      '--segments',
      '4',
      '--tickets',
      '0',
      '--input',
      file,
    ])
    assert.equal(await devnet.ended, 0, devnet.stderr)
    const figures = JSON.parse(devnet.stdout.trimEnd().split('\n').at(-1)!)
    assert.equal(figures.setup, 'single')
    assert.ok(figures.segments >= 4)
    assert.equal(figures.renditions, figures.segments * 2)
    assert.ok(
      figures.ticketsReceived >= 4,
      `${figures.ticketsReceived} tickets for ${figures.segments} segments`,
    )
    assert.equal(figures.ticketsLost, 0)
    assert.deepEqual([figures.ticketsWon, figures.ticketsRedeemed].map(Number.isSafeInteger), [true, true])
    assert.match(figures.faceValueRedeemedWei, /^\d+$/)
    assert.match(figures.chainFeesWei, /^\d+$/)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('--once that does not see enough in its time ends with one sentence, and leaves nothing behind', async () => {
  const devnet = new Devnet(['--once', '--setup', 'single', '--segments', '1000', '--limit', '1'])
  await devnet.says(/^[0-9]+ segments transcoded/m)
  const family = devnet.family()
  assert.equal(await devnet.ended, 1)
  assert.equal(devnet.stdout, '')
  assert.match(
    devnet.stderr.trim().split('\n').at(-1)!,
    /^after 1 s only \d+ segments were transcoded and \d+ tickets redeemed \(wanted 1000 and 2\); 0 segments failed, the last with: nothing$/,
  )
  await nothingLeft(family)
})

test('a wrong option ends the program before anything starts, with the reason in one line', async () => {
  for (const [args, reason] of [
    [['--nonsense'], /nonsense/],
    [['--setup', 'warm'], /there is no setup "warm": --setup is one of single, redeemer/],
    [
      ['--setup', 'multi', '--unrest'],
      /--unrest kills nodes of which there are several: it is for --setup cluster/,
    ],
    [['--setup', 'chain', '--once'], /--setup chain starts no nodes: leave out --once/],
    [
      ['--input', '/nonexistent'],
      /^--input cannot be streamed: cannot open \/nonexistent: No such file or directory$/m,
    ],
    [['--input', DEVNET_MAIN], /^--input cannot be streamed: .*main\.ts/m],
    [
      ['--logs', '/dev/null/logs'],
      /^--logs \/dev\/null\/logs cannot be used: there is a file where a folder should be/m,
    ],
    [['--limit', 'long', '--once'], /^--limit must be a number of seconds/m],
  ] as const) {
    const devnet = new Devnet(args)
    assert.notEqual(await devnet.ended, 0)
    assert.match(devnet.stderr, reason)
    assert.equal(devnet.stderr.trim().split('\n').length, 1, devnet.stderr)
    assert.equal(devnet.stdout, '')
  }
})

test('--help lists every option and setup, and starts nothing', async () => {
  const devnet = new Devnet(['--help'])
  assert.equal(await devnet.ended, 0)
  for (const option of [
    '--setup',
    '--input',
    '--logs',
    '--unrest',
    '--once',
    '--segments',
    '--tickets',
    '--limit',
  ])
    assert.ok(devnet.stdout.includes(`  ${option}`), option)
  for (const setup of [...SETUPS, 'chain']) assert.ok(devnet.stdout.includes(setup), setup)
})
