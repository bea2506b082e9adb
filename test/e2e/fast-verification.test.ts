import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import { pushSegment } from '../../devnet/publisher.ts'
import { TcpLink } from '../../devnet/tcp-link.ts'
import { readSignature, showSame } from '../../src/domain/perceptual-hash.ts'
import { fingerprint } from '../../src/io/media/worker/fingerprint.ts'
import { evenly, makePictures } from '../media/remade.ts'
import { WebhookServer } from '../net/webhook-server.ts'
import { eventually } from '../tools/until.ts'
import { type Lie, LyingNode } from './lying-node.ts'
import { testNodes } from './nodes.ts'

/*
 * A gateway, a trusted orchestrator and two untrusted ones, one of which delivers another clip, and a verifier of results. The
 * nodes are started by the commands of an operator, the liar in this process; offchain.
 */

const FRAMES_PER_SECOND = 15
const DURATION_MS = 2_000
const SIZE = { width: 320, height: 180 }
/** Delays each piece of the honest one's offer, so that the liar is the first that is found. */
const LATER_MS = 150
const MAX_TRIES = 5

function clip(source: string): Uint8Array {
  const times = evenly((FRAMES_PER_SECOND * DURATION_MS) / 1000)
  return makePictures({ times, unit: { num: 1, den: FRAMES_PER_SECOND }, source, ...SIZE })
}

test('an orchestrator that delivers another clip is found out, named and left, and no segment of the stream is lost', async (t) => {
  const { folder, node } = await testNodes(t)
  await using stack = new AsyncDisposableStack()
  const [lists, decides] = [stack.use(await WebhookServer.open()), stack.use(await WebhookServer.open())]
  const verifier = stack.use(await WebhookServer.open())
  const shared = join(folder, 'judged')
  await mkdir(shared)
  const [trusted, honest, lying, http, control] = (await Promise.all(
    Array.from({ length: 5 }, async () => `127.0.0.1:${await freePort()}`),
  )) as [string, string, string, string, string]
  const link = stack.use(await TcpLink.open(Number(honest.split(':')[1])))
  link.slow(LATER_MS)
  lists.answer = {
    body: JSON.stringify([
      { address: `https://${trusted}`, score: 1 },
      { address: `https://${lying}`, score: 0 },
      { address: `https://127.0.0.1:${link.port}`, score: 0 },
    ]),
  }
  decides.answer = ({ body }) => {
    const [, manifestID] = /\/live\/(\w+)\//.exec(JSON.parse(body).url)!
    return { body: JSON.stringify({ manifestID, verificationFreq: manifestID === 'judged' ? 0 : 1 }) }
  }
  /** Whose results the verifier was shown, with what it found in the folder, and whom it accuses. */
  const judged: { readonly by: string; readonly rendition: Promise<Uint8Array> }[] = []
  let accuses = (_: string) => false
  verifier.answer = ({ body }) => {
    const { orchestratorID: by, renditions } = JSON.parse(body)
    const rendition = readFile(join(shared, renditions[0].uri.slice('/stream/'.length)))
    rendition.catch(() => {})
    judged.push({ by, rendition })
    return { body: JSON.stringify({ results: [{ tamper: accuses(by) ? 1 : 0 }] }), delayMs: 50 }
  }
  const profiles = join(folder, 'profiles.json')
  await writeFile(
    profiles,
    JSON.stringify([{ name: 'tiny', width: 160, height: 90, bitrate: 100_000, fps: 0 }]),
  )
  const [source, other] = [clip('testsrc2'), clip('smptebars')]
  const work = (service: string) => ['-orchestrator', '-transcoder', '-serviceAddr', service]
  const gateway = await node('gateway', [
    ...['-gateway', '-monitor', '-httpAddr', http, '-transcodingOptions', profiles],
    ...['-orchWebhookUrl', lists.url, '-authWebhookUrl', decides.url, '-discoveryTimeout', '3s'],
    ...['-verifierUrl', verifier.url, '-verifierPath', shared],
  ])
  const others = [await node('trusted', work(trusted)), await node('honest', work(honest))]
  const liarFlags = [...work(lying), '-dataDir', join(folder, 'liar'), '-cliAddr', control]
  const [liar] = await Promise.all([
    LyingNode.start(liarFlags, other).then((started) => stack.use(started)),
    ...[gateway, ...others].map((process) => process.start()),
  ])

  const over = new AbortController()
  stack.defer(() => over.abort())
  const events = await follow(`http://${gateway.command.control}/events`, over.signal)
  const stream = async (name: string, lie: Lie) => {
    liar.lie = lie
    for (let seq = 0; seq < 3; seq++) {
      const pushed = await pushSegment(`http://${http}`, name, {
        seq,
        bytes: source,
        durationMs: DURATION_MS,
      })
      assert.equal(pushed.status, 200, pushed.text)
      assert.equal(pushed.renditions.length, 1)
      assert.ok(await showsTheSame(pushed.renditions[0]!, source), `segment ${seq} of ${name}`)
    }
  }
  const metric = async (name: string, ...labels: string[]) => {
    const text = await (await fetch(`http://${gateway.command.control}/metrics`)).text()
    const line = text
      .split('\n')
      .find((one) => one.startsWith(`livepeer_${name}{`) && labels.every((label) => one.includes(label)))
    return Number(line?.split(' ').at(-1) ?? 0)
  }
  const of = (address: string) => `orchestrator_uri="https://${address}"`

  /** A stream in which it is found out; on a busy machine another one may be the first that is found. */
  const streamThatFinds = async (lie: Lie, fault: string) => {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const name = `${lie}${tries}`
      await stream(name, lie)
      if ((await metric('fast_verification_failed', of(lying), fault)) > 0) return name
    }
    return assert.fail(`it was not compared in ${MAX_TRIES} streams`)
  }

  const manifestId = await streamThatFinds('pictures', 'fverror_type="2"')
  const sent = liar.segments
  const suspended = await metric('orchestrator_suspensions_total')
  assert.ok(suspended >= 1)
  assert.match(
    gateway.output,
    new RegExp(
      `orchestrator failed a segment .*transcoder=\\S*${lying} fault=result-refuted reason=.*other pictures`,
    ),
  )

  const facts = { manifestId, orchestrator: `https://${lying}` }
  for (const event of [
    { kind: 'result-compared', ...facts, fault: 'pictures' },
    { kind: 'orchestrator-suspended', ...facts },
  ])
    await eventually(JSON.stringify(event), () => events.some((one) => holds(one, event)))

  await streamThatFinds('hashes', 'fverror_type="1"')
  assert.ok(liar.segments > sent, 'another stream tries it again')
  assert.match(gateway.output, /fault=result-refuted reason=.*perceptual hash/)

  const suspendedAgain = await metric('orchestrator_suspensions_total')
  assert.ok(suspendedAgain > suspended, 'in each stream')
  assert.ok((await metric('fast_verification_done', of(honest))) >= 2, 'the honest one passed')
  assert.equal(await metric('fast_verification_failed', of(honest)), 0)
  assert.equal(await metric('fast_verification_failed', of(trusted)), 0)
  assert.doesNotMatch(gateway.output, /segment was not transcoded| ERROR /)

  await stream('honest', 'nothing')
  assert.equal(await metric('orchestrator_suspensions_total'), suspendedAgain, 'not for what is true')
  assert.ok((await metric('fast_verification_using_current_sessions_total')) >= 3)

  judged.length = 0
  accuses = (by) => by === judged[0]!.by
  await stream('judged', 'nothing')
  const accused = judged[0]!.by
  assert.deepEqual(judged.filter(({ by }) => by !== accused).length, 3, 'another one did each segment')
  for (const { rendition } of judged) assert.ok((await rendition).length > 1_000, 'the verifier sees it')
  assert.match(
    gateway.output,
    new RegExp(`orchestrator failed a segment .*manifestId=judged .*transcoder=${accused} fault=tampered`),
  )
  assert.ok((await metric('verifier_results_total', 'verdict="tampered"')) >= 1)
  assert.equal(await metric('orchestrator_suspensions_total'), suspendedAgain, 'left, but not suspended')
})

/** The events that a node tells from now on. */
async function follow(url: string, signal: AbortSignal): Promise<readonly Record<string, unknown>[]> {
  const { body } = await fetch(url, { signal })
  const events: Record<string, unknown>[] = []
  const read = async () => {
    let text = ''
    for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
      const lines = (text + chunk).split('\n')
      text = lines.pop()!
      for (const line of lines) if (line.startsWith('data: ')) events.push(JSON.parse(line.slice(6)))
    }
  }
  read().catch(() => {})
  return events
}

function holds(event: Record<string, unknown>, facts: Record<string, unknown>): boolean {
  return Object.entries(facts).every(([name, fact]) => event[name] === fact)
}

async function showsTheSame(rendition: Uint8Array, source: Uint8Array): Promise<boolean> {
  const signal = AbortSignal.timeout(30_000)
  const [one, other] = [await fingerprint(rendition, signal), await fingerprint(source, signal)]
  return showSame(readSignature(one.signature), readSignature(other.signature))
}
