import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Anvil } from '../../devnet/anvil.ts'
import { devnetKey, devnetKeyBytes } from '../../devnet/artifacts.ts'
import { freePort } from '../../devnet/free-port.ts'
import { Protocol } from '../../devnet/protocol.ts'
import { writeKeyFile } from '../../src/io/chain/keystore.ts'
import { addressOfKey } from '../../src/lib/crypto.ts'
import { eventually } from '../tools/until.ts'

const BIN = fileURLToPath(new URL('../../bin/livepeer', import.meta.url))
const END_MS = 60_000
const SPEAK_MS = 60_000
const ETHER = 10n ** 18n

/**
 * One mistake of an operator and the node's answer to it. Texts may hold words in braces: `{folder}` is the folder in which
 * the node runs, `{port}`, `{port2}` and `{control}` are free ports, `{busy}` is a port that another process uses, `{rpc}`
 * and `{controller}` are those of a real chain, `{chain}` its three flags, `{address:NAME}` the account of a key.
 */
export interface Mistake {
  /** What is wrong: the name of the test. */
  readonly name: string
  /** The arguments, between blanks; `␣` stands for a blank within one. -dataDir and -cliAddr are added where missing. */
  readonly flags: string
  readonly env?: Readonly<Record<string, string>>
  /** Files in the node's folder; null is an empty folder. */
  readonly files?: Readonly<Record<string, string | null>>
  /** Names of the keys in the keystore `data/keystore`, whose password is `devnet`. The chain knows `orchestrator`. */
  readonly keys?: readonly string[]
  /** Anything else that has to be there. Returns null to skip the row where this machine does not allow it. */
  readonly prepare?: (place: Place) => Promise<unknown>
  /** The exit code, or `runs`: the node says it in its log and goes on. */
  readonly ends: 1 | 2 | 'runs'
  /** The whole sentence of a node that ends; a part of the log line of one that runs. */
  readonly says: string | RegExp
  /** What the operator has to change, as the sentence names it; null where that is no flag and no variable. */
  readonly flag: string | null
  /** Looks further at a node that runs. */
  readonly check?: (node: RunningNode) => Promise<void>
}

/** Where a row runs. */
export interface Place {
  readonly folder: string
  /** Replaces the words in braces. */
  fill(text: string): string
  /** The chain of all rows, started when it is first asked for. */
  chain(): Promise<Chain>
  /** Registers clean-up. */
  defer(cleanup: () => unknown): void
}

/** The one chain of all rows: X is registered, and the gateway has a deposit and a reserve. */
export interface Chain {
  readonly anvil: Anvil
  readonly protocol: Protocol
}

/** A node that goes on in spite of the mistake. */
export interface RunningNode extends Place {
  readonly control: string
  /** Its log so far. */
  readonly log: () => string
  /** Waits for a line. */
  says(line: RegExp): Promise<void>
  status<Status>(): Promise<Status>
  /** The text of /metrics, for nodes with -monitor. */
  metrics(): Promise<string>
}

/** What the rows share: a chain and a port in use. */
export class World implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack()
  #chain: Promise<Chain> | null = null
  #busy: Promise<number> | null = null

  chain(): Promise<Chain> {
    this.#chain ??= this.#startChain()
    return this.#chain
  }

  busyPort(): Promise<number> {
    this.#busy ??= this.#occupyPort()
    return this.#busy
  }

  async #startChain(): Promise<Chain> {
    const anvil = this.#stack.use(await Anvil.start())
    // Longer than the rows take: no round of theirs is left uninitialised.
    const protocol = await Protocol.deploy(anvil, { roundLength: 1_000n })
    const serviceUri = 'https://127.0.0.1:8935'
    await protocol.bondAndRegister(devnetKey('orchestrator'), { stake: 1000n * ETHER, serviceUri })
    await protocol.fundSender(devnetKey('gateway'), ETHER, ETHER)
    await protocol.nextRound()
    await anvil.mineEvery(1)
    return { anvil, protocol }
  }

  async #occupyPort(): Promise<number> {
    const server: Server = createServer()
    const port = await freePort()
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    this.#stack.defer(() => new Promise<void>((resolve) => server.close(() => resolve())))
    return port
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync()
  }
}

/** Makes the mistake with a real process, and checks the answer. Returns false if this machine does not allow it. */
export async function make(mistake: Mistake, world: World): Promise<boolean> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-mistake-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const words = await wordsOf(mistake, folder, world)
  const place: Place = {
    folder,
    fill: (text) => fill(text, words),
    chain: () => world.chain(),
    defer: (cleanup) =>
      stack.defer(async () => {
        await cleanup()
      }),
  }
  for (const [path, text] of Object.entries(mistake.files ?? {})) {
    const full = join(folder, path)
    await mkdir(text === null ? full : dirname(full), { recursive: true })
    if (text !== null) await writeFile(full, place.fill(text))
  }
  for (const name of mistake.keys ?? []) {
    await writeKeyFile(join(folder, 'data/keystore'), devnetKeyBytes(name), 'devnet', { scryptN: 2 ** 12 })
  }
  if ((await mistake.prepare?.(place)) === null) return false

  const flags = argumentsOf(mistake, place)
  const env = Object.fromEntries(
    Object.entries(mistake.env ?? {}).map(([name, text]) => [name, place.fill(text)]),
  )
  const child = spawn(BIN, flags, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: folder, ...env },
  })
  let log = ''
  child.stdout.on('data', (chunk) => {
    log += chunk
  })
  child.stderr.on('data', (chunk) => {
    log += chunk
  })
  let code: number | null | undefined
  const ended = new Promise<void>((resolve) =>
    child.once('close', (exitCode) => {
      code = exitCode
      resolve()
    }),
  )
  stack.defer(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const told = () => `${flags.join(' ')}\nended with ${code} and said:\n${log}`
  const control = words.get('control')!

  if (mistake.ends !== 'runs') {
    await eventually(`the end of: ${mistake.name}`, () => code !== undefined, END_MS)
    assert.equal(code, mistake.ends, told())
    const sentences = log
      .trim()
      .split('\n')
      .filter((line, index, lines) => index === lines.length - 1 || / ERROR /.test(line))
      .map((line) => line.replace(/^\S+ +ERROR /, ''))
    assert.equal(sentences.length, 1, `more than one sentence: ${told()}`)
    checkSentence(sentences[0]!, mistake, place)
    return true
  }
  const spoken = () => log.split('\n').find((line) => matches(line, mistake.says, place))
  await eventually(
    `${mistake.name}: ${mistake.says}`,
    () => code !== undefined || spoken() !== undefined,
    SPEAK_MS,
  ).catch((error) => assert.fail(`${error}\n${told()}`))
  assert.equal(code, undefined, `it did not go on: ${told()}`)
  assert.match(spoken()!, / (WARN|ERROR) /)
  if (mistake.flag) assert.ok(spoken()!.includes(place.fill(mistake.flag)), `${mistake.flag} in ${spoken()}`)
  await mistake.check?.({
    ...place,
    control: `127.0.0.1:${control}`,
    log: () => log,
    says: (line) =>
      eventually(`${mistake.name}: ${line}`, () => line.test(log), SPEAK_MS).catch((error) =>
        assert.fail(`${error}\n${told()}`),
      ),
    status: async <Status>() => (await get(control, '/status')).json() as Promise<Status>,
    metrics: async () => (await get(control, '/metrics')).text(),
  })
  child.kill('SIGINT')
  await eventually(`the end of: ${mistake.name}`, () => code !== undefined, END_MS)
  assert.equal(code, 0, told())
  return true
}

function checkSentence(sentence: string, { flag, says }: Mistake, place: Place): void {
  if (typeof says === 'string') assert.equal(sentence, place.fill(says))
  else assert.match(sentence, filled(says, place))
  if (flag !== null) assert.ok(sentence.includes(place.fill(flag)), `${flag} in: ${sentence}`)
}

function matches(line: string, says: string | RegExp, place: Place): boolean {
  return typeof says === 'string' ? line.includes(place.fill(says)) : filled(says, place).test(line)
}

function filled(pattern: RegExp, place: Place): RegExp {
  return new RegExp(place.fill(pattern.source), pattern.flags)
}

function argumentsOf({ flags }: Mistake, place: Place): string[] {
  const given = place
    .fill(flags)
    .split(/ +/)
    .filter((word) => word !== '')
  const isGateway = given.includes('-gateway') || given.includes('-broadcaster')
  if (isGateway && !given.includes('-rtmpAddr')) given.unshift('-rtmpAddr', 'none')
  // Without any flag there is nothing to run, which is a mistake of its own.
  if (given.length > 0 && !given.includes('-dataDir')) given.push('-dataDir', 'data')
  if (given.length > 0 && !given.includes('-cliAddr'))
    given.push('-cliAddr', place.fill('127.0.0.1:{control}'))
  return given.map((word) => word.replaceAll('␣', ' '))
}

async function wordsOf(mistake: Mistake, folder: string, world: World): Promise<Map<string, string>> {
  const all = JSON.stringify([mistake.flags, mistake.env, mistake.files, String(mistake.says)])
  const words = new Map([['folder', folder]])
  for (const name of ['port', 'port2', 'control']) words.set(name, String(await freePort()))
  if (all.includes('{busy}')) words.set('busy', String(await world.busyPort()))
  if (/\{(rpc|controller|chain)\}/.test(all)) {
    const { anvil, protocol } = await world.chain()
    const { controller } = protocol.addresses
    words.set('rpc', anvil.url).set('controller', controller)
    words.set('chain', `-network devnet -ethUrl ${anvil.url} -ethController ${controller}`)
  }
  return words
}

function fill(text: string, words: ReadonlyMap<string, string>): string {
  return text.replace(/\{([a-z]+\d?)(?::([^{}"]+))?\}/g, (whole, word: string, name?: string) => {
    if (word === 'address' && name) return addressOfKey(devnetKeyBytes(name))
    return words.get(word) ?? whole
  })
}

async function get(control: string, path: string): Promise<Response> {
  const answer = await fetch(`http://127.0.0.1:${control}${path}`, { signal: AbortSignal.timeout(10_000) })
  assert.equal(answer.status, 200, path)
  return answer
}
