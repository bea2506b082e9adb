/**
 * Replaces a compromised media worker: does what an attacker would, through Node.js and system calls, and reports the
 * outcomes.
 */
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import koffi from 'koffi'
import { serveRequests } from '../../src/io/media/worker/serve-requests.ts'
import type { TranscodeRequest } from '../../src/io/media/worker/transcode.ts'
import type { HostileTargets } from './sandbox-victim.ts'

const PROCESS_VM_READV = { x64: 310, arm64: 270 }

const words = Array.from({ length: 6 }, () => 'intptr_t')
const syscall = koffi.load(null).func('syscall', 'long', ['long', ...words])

/** Succeeds only for a process that may be traced. */
function readMemory(pid: number): string {
  let address = 0x400000n
  try {
    address = BigInt(`0x${/^[0-9a-f]+/.exec(readFileSync(`/proc/${pid}/maps`, 'latin1'))![0]}`)
  } catch {
    // Any address will do: a refused call is refused before it is used.
  }
  const bytes = Buffer.alloc(4)
  const here = new BigUint64Array([BigInt(koffi.address(bytes)), 4n])
  const there = new BigUint64Array([address, 4n])
  const number = PROCESS_VM_READV[process.arch as 'x64' | 'arm64']
  const read = Number(syscall(number, pid, koffi.address(here), 1, koffi.address(there), 1, 0))
  if (read < 0) throw new Error(`errno ${koffi.errno()}`)
  return bytes.toString('hex')
}

function run(file: string, args: string[]): string {
  const { error, status, stdout } = spawnSync(file, args, { encoding: 'utf8', timeout: 5_000 })
  if (error) throw error
  if (status !== 0) throw new Error(`status ${status}`)
  return stdout
}

async function reach(host: string, port: number): Promise<string> {
  const socket = connect({ host, port, timeout: 2_000 })
  socket.on('timeout', () => socket.destroy(new Error('timeout')))
  await once(socket, 'connect')
  socket.destroy()
  return 'connected'
}

async function tell(host: string, port: number): Promise<string> {
  const socket = createSocket('udp4')
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.send('secret', port, host, (error) => (error ? reject(error) : resolve()))
    })
    return 'sent'
  } finally {
    socket.close()
  }
}

/** The same from another thread, started before or after sealing. */
async function reachFromThread(host: string, port: number): Promise<string> {
  const code = `const { parentPort } = require('node:worker_threads')
    const socket = require('node:net').connect(${port}, ${JSON.stringify(host)})
    socket.on('connect', () => { socket.destroy(); parentPort.postMessage('connected') })
    socket.on('error', (error) => parentPort.postMessage(error.code))`
  const [said] = await once(new Worker(code, { eval: true }), 'message')
  if (said !== 'connected') throw new Error(said)
  return said
}

function attempts(targets: HostileTargets): Record<string, () => unknown> {
  const { addresses, database, keystore, other, outside, own, parent, port, programs } = targets
  const ofParent = (name: string) => readFileSync(`/proc/${parent}/${name}`, 'latin1')
  return {
    'writes in its own folder': () => writeFileSync(join(own, 'mine'), 'x'),
    'reads the parent’s environment': () => /SECRET=\w+/.exec(ofParent('environ'))![0],
    'reads the parent’s command line': () => ofParent('cmdline'),
    'reads the parent’s memory map': () => ofParent('maps').slice(0, 20),
    'reads the keystore': () => readFileSync(keystore, 'utf8'),
    'reads the keystore by the parent’s root': () => readFileSync(`/proc/${parent}/root${keystore}`, 'utf8'),
    'reads the database': () => readFileSync(database, 'utf8'),
    'writes the database': () => writeFileSync(database, 'gone'),
    'reads another worker’s folder': () => readdirSync(other),
    'writes outside its folder': () => writeFileSync(outside, 'x'),
    'writes among the programs': () => writeFileSync(programs, 'x'),
    'reads the list of users': () => readFileSync('/etc/passwd', 'utf8').length,
    'signals the parent': () => process.kill(parent, 'SIGUSR2'),
    'reads the parent’s memory': () => readMemory(parent),
    'runs a shell': () => run('/bin/sh', ['-c', 'echo taken over']),
    'runs a program': () => run(process.execPath, ['-p', '1']),
    'connects to the loopback': () => reach('127.0.0.1', port),
    'connects from a thread': () => reachFromThread('127.0.0.1', port),
    'sends a datagram': () => tell('127.0.0.1', port),
    ...Object.fromEntries(
      addresses.map((address) => [`connects to ${address}`, () => reach(address, port)] as const),
    ),
  }
}

await serveRequests({
  transcode: async ({ provider }: TranscodeRequest) => {
    const results: Record<string, string> = {}
    for (const [name, attempt] of Object.entries(attempts(JSON.parse(provider) as HostileTargets))) {
      try {
        results[name] = `done: ${String(await attempt())
          .trim()
          .slice(0, 60)}`
      } catch (error) {
        results[name] = (error as NodeJS.ErrnoException).code ?? (error as Error).message
      }
    }
    const bytes = new TextEncoder().encode(JSON.stringify(results))
    const renditions = [{ bytes, pixels: 1n, frames: 1, perceptualHash: null }]
    return { output: { decodedPixels: 1n, renditions }, deviceFault: null }
  },
})
