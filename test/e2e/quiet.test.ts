import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Network } from '../../devnet/network.ts'
import { until } from '../tools/until.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/** How long the network runs; QUIET_SECONDS=600 for ten minutes, with a round each minute. */
const SECONDS = Number(process.env.QUIET_SECONDS ?? 15)
/** The time limit of a test is five minutes, and its start and end take one. */
const TIMEOUT_MS = (SECONDS + 240) * 1_000
/** L1 blocks until ticket params have expired, after which tickets are redeemed. */
const PARAMS_LIFETIME = 45
const STREAMS = 3
/** Every ticket wins: the usual funds are spent within nine minutes, of which a gateway rightly warns. */
const PLENTY = 1_000n * 10n ** 18n

/** What a machine of tests lacks, which the node rightly warns of once at its start. */
const OF_THIS_MACHINE = /media workers are not (fully )?confined/

test(`an operator’s network and a gateway write no warning and no error in ${SECONDS} seconds of work, and tell it`, {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-quiet-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  const logs = join(folder, 'logs')
  await using network = await Network.prepare({
    setup: 'multi',
    gatewayFunds: PLENTY,
    orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
    gatewayFlags: ['-transcodingOptions', profiles],
    logFolder: logs,
  })
  await network.start()
  const lines = async () => {
    const files = await readdir(logs)
    const texts = await Promise.all(files.map((file) => readFile(join(logs, file), 'utf8')))
    return files.flatMap((file, i) =>
      texts[i]!.split('\n').map((line) => `${file.replace('.log', '')} ${line}`),
    )
  }
  const saysOf = (all: readonly string[], node: string, words: string) =>
    all.filter((line) => line.startsWith(node) && line.includes(` INFO  ${words}  `)).length

  await using load = await TinyLoad.start(network.urls.gateway, STREAMS, { pauseMs: 200 })
  await sleep(SECONDS * 1_000)
  await load.stop()
  await network.anvil.mine(PARAMS_LIFETIME)
  const said: [node: string, words: string][] = [
    ['gateway', 'stream begun'],
    ['orchestrator', 'session begun'],
    ['orchestrator', 'ticket won'],
    ['orchestrator', 'ticket delivered'],
    ['orchestrator', 'ticket redeemed'],
    ['orchestrator-2', 'transcoder connected'],
    ['redeemer', 'ticket handed in'],
    ['redeemer', 'ticket redeemed'],
    ['reward', 'reward called'],
    ['reward', 'work of the last round'],
    ['redeemer', 'work of the last round'],
  ]
  for (const [node, words] of said)
    await until(async () => (saysOf(await lines(), node, words) > 0 ? true : null), `${node}: ${words}`)
  const all = await lines()
  // The end of the stream is told when the gateway stops, which ends the sessions of the orchestrators.
  await network.gateway.drain()
  for (const [node, words] of [
    ['gateway', 'stream ended'],
    ['orchestrator', 'session ended'],
  ] as const)
    await until(async () => (saysOf(await lines(), node, words) > 0 ? true : null), `${node}: ${words}`)

  const loud = (await lines()).filter((line) => / (WARN|ERROR) /.test(line) && !OF_THIS_MACHINE.test(line))
  assert.deepEqual(loud, [])
  assert.ok(load.pushed.every(({ status }) => status === 200))
  t.diagnostic(`${all.length} lines, ${load.served} segments`)
})
