import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeSegments } from '../media/media.ts'
import { until } from '../tools/until.ts'

/** `npm start` as a user sees it. */

const MAIN = fileURLToPath(new URL('../../devnet/main.ts', import.meta.url))
/** It stops in about a second; longer on a machine busy with other tests. */
const STOP_LIMIT_MS = 10_000

class Devnet {
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  stdout = ''
  stderr = ''

  constructor(args: readonly string[]) {
    const flags = ['--disable-warning=ExperimentalWarning', '--max-http-header-size=1048576']
    this.child = spawn(process.execPath, [...flags, MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stdout!.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.child.stderr!.on('data', (chunk) => {
      this.stderr += chunk
    })
    this.ended = new Promise((resolve) => this.child.once('close', resolve))
  }

  /** Waits for a pattern in the output; fails with the whole output if the process ends first. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const ended = this.ended.then((code) => ({ code }))
    const found = until(async () => pattern.exec(this.stdout + this.stderr), `${pattern}`, 90_000)
    const first = await Promise.race([found, ended])
    if (!Array.isArray(first)) assert.fail(`it ended with ${first.code}: ${this.stdout}${this.stderr}`)
    return first
  }

  /** All its descendant processes. */
  async family(): Promise<number[]> {
    const below = async (pid: number): Promise<number[]> => {
      const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
      const children = text.split(/\s+/).filter(Boolean).map(Number)
      return [...children, ...(await Promise.all(children.map(below))).flat()]
    }
    return below(this.child.pid!)
  }
}

/** Interrupts it and checks that nothing is left. */
async function interrupted(devnet: Devnet): Promise<void> {
  const family = await devnet.family()
  const folders = (await readdir(tmpdir())).filter((name) => name.startsWith('livepeer-devnet-'))
  const ports = [...devnet.stdout.matchAll(/127\.0\.0\.1:(\d+)/g)].map((match) => Number(match[1]))
  const ownFolder = /livepeer-devnet-\w+/.exec(devnet.stdout)?.[0]
  const asked = performance.now()
  devnet.child.kill('SIGINT')
  const code = await devnet.ended
  const tookMs = performance.now() - asked
  assert.equal(code, 0, devnet.stdout + devnet.stderr)
  assert.ok(tookMs < STOP_LIMIT_MS, `it took ${Math.round(tookMs)} ms to stop`)
  await noneLeft(family)
  if (ownFolder) {
    assert.ok(folders.includes(ownFolder))
    assert.equal(existsSync(join(tmpdir(), ownFolder)), false, 'its folder is left')
  }
  for (const port of new Set(ports)) assert.equal(await isListening(port), false, `port ${port} is left`)
}

/** Resolves once none of the processes is left; those killed last may be in the process table for a moment. */
async function noneLeft(family: readonly number[]): Promise<void> {
  const left = () => family.filter((pid) => existsSync(`/proc/${pid}`))
  await until(async () => (left().length === 0 ? true : null), 'no process left', 5_000)
}

test('the stream can be watched while it runs, and Ctrl-C leaves nothing behind', async () => {
  const devnet = new Devnet([])
  const [, playlistUrl] = await devnet.says(/^watch +(http\S+)$/m)
  await devnet.says(/^[1-9]\d* segments transcoded/m)
  const variant = await until(async () => {
    const master = await fetch(playlistUrl!)
    return /^demo\/P240p30fps16x9\.m3u8$/m.exec(await master.text())?.[0] ?? null
  }, 'a rendition in the master playlist')
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
  await until(async () => ((await newest()) === first ? null : true), 'the next segment', 15_000)
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
  const family = await devnet.family()
  assert.equal(await devnet.ended, 1)
  assert.equal(devnet.stdout, '')
  assert.match(
    devnet.stderr.trim().split('\n').at(-1)!,
    /^after 1 s only \d+ segments were transcoded and \d+ tickets redeemed \(wanted 1000 and 2\); 0 segments failed, the last with: nothing$/,
  )
  await noneLeft(family)
})

test('a wrong option ends the program at once, with the reason', async () => {
  for (const [args, reason] of [
    [['--nonsense'], /nonsense/],
    [['--setup', 'warm'], /there is no setup "warm": --setup is one of single, redeemer/],
  ] as const) {
    const devnet = new Devnet(args)
    assert.notEqual(await devnet.ended, 0)
    assert.match(devnet.stderr, reason)
  }
})

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
