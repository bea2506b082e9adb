import assert from 'node:assert/strict'
import { test } from 'node:test'
import { workerFilter } from './seccomp.ts'

const AUDIT = { x64: 0xc000003e, arm64: 0xc00000b7 }
const PID = 4711
const VERDICTS = new Map([
  [0x7fff0000, 'allowed'],
  [0x80000000, 'killed'],
  [0x00050001, 'EPERM'],
  [0x00050026, 'ENOSYS'],
])

/** Interprets a filter like the kernel, for the instructions that these filters use. */
function verdict(
  program: Uint8Array,
  call: { architecture: number; number: number; args?: readonly number[] },
): string {
  const data = Buffer.alloc(64)
  data.writeUInt32LE(call.number, 0)
  data.writeUInt32LE(call.architecture, 4)
  call.args?.forEach((value, index) => void data.writeUInt32LE(value >>> 0, 16 + 8 * index))
  const code = Buffer.from(program)
  let held = 0
  for (let at = 0; ; at++) {
    assert.ok(at * 8 < code.length, 'it runs beyond its end')
    const [what, ifTrue, ifFalse] = [code.readUInt16LE(at * 8), code[at * 8 + 2]!, code[at * 8 + 3]!]
    const value = code.readUInt32LE(at * 8 + 4)
    if (what === 0x20) held = data.readUInt32LE(value)
    else if (what === 0x06) return VERDICTS.get(value) ?? value.toString(16)
    else if (what === 0x15) at += held === value ? ifTrue : ifFalse
    else if (what === 0x35) at += held >= value ? ifTrue : ifFalse
    else if (what === 0x45) at += (held & value) !== 0 ? ifTrue : ifFalse
    else assert.fail(`instruction ${what}`)
  }
}

const CLONE_THREAD = 0x10000
const CLONE_NEWUSER = 0x10000000

/** Calls by their numbers on both architectures, their arguments, and the filter's answer in a sealed worker. */
const cases: [name: string, x64: number, arm64: number, args: number[], expected: string][] = [
  ['read', 0, 63, [3], 'allowed'],
  ['mmap', 9, 222, [], 'allowed'],
  ['futex', 202, 98, [], 'allowed'],
  ['openat', 257, 56, [], 'allowed'],
  ['execve', 59, 221, [], 'EPERM'],
  ['execveat', 322, 281, [], 'EPERM'],
  ['clone of a thread', 56, 220, [CLONE_THREAD | 0x900], 'allowed'],
  ['clone of a process', 56, 220, [17], 'EPERM'],
  ['clone into a namespace', 56, 220, [CLONE_NEWUSER | 17], 'EPERM'],
  ['clone3', 435, 435, [], 'ENOSYS'],
  ['kill of itself', 62, 129, [PID, 9], 'allowed'],
  ['kill of another', 62, 129, [PID + 1, 9], 'EPERM'],
  ['kill of everybody', 62, 129, [-1, 9], 'EPERM'],
  ['kill of its group', 62, 129, [0, 9], 'EPERM'],
  ['tgkill of itself', 234, 131, [PID, PID, 6], 'allowed'],
  ['tgkill of another', 234, 131, [PID + 1, PID + 1, 6], 'EPERM'],
  ['ptrace', 101, 117, [], 'EPERM'],
  ['process_vm_readv', 310, 270, [], 'EPERM'],
  ['prlimit64 of itself', 302, 261, [0], 'allowed'],
  ['prlimit64 of another', 302, 261, [PID + 1], 'EPERM'],
  ['socket of the Internet', 41, 198, [2], 'EPERM'],
  ['local socket', 41, 198, [1], 'EPERM'],
  ['connect', 42, 203, [], 'EPERM'],
  ['ioctl of a device', 16, 29, [3, 0xc020462a], 'allowed'],
  ['ioctl that types into the terminal', 16, 29, [0, 0x5412], 'EPERM'],
  ['io_uring_setup', 425, 425, [], 'EPERM'],
  ['bpf', 321, 280, [], 'EPERM'],
  ['unshare', 272, 97, [], 'EPERM'],
  ['mount', 165, 40, [], 'EPERM'],
  ['a call that is not known yet', 470, 470, [], 'ENOSYS'],
]

for (const arch of ['x64', 'arm64'] as const)
  test(`a worker on ${arch} can do its work and nothing else`, () => {
    const filter = workerFilter({ arch, pid: PID, allowsLocalSockets: false, allowsExecution: false })!
    for (const [name, x64, arm64, args, expected] of cases) {
      const number = { x64, arm64 }[arch]
      assert.equal(verdict(filter, { architecture: AUDIT[arch], number, args }), expected, name)
    }
    const other = arch === 'x64' ? AUDIT.arm64 : AUDIT.x64
    assert.equal(verdict(filter, { architecture: other, number: 0 }), 'killed', 'of another architecture')
  })

test('32-bit and x32 calls on x64 end the process, because their numbers mean something else', () => {
  const filter = workerFilter({ arch: 'x64', pid: PID, allowsLocalSockets: false, allowsExecution: false })!
  assert.equal(verdict(filter, { architecture: 0x40000003, number: 11 }), 'killed')
  assert.equal(verdict(filter, { architecture: AUDIT.x64, number: 0x40000000 + 520 }), 'killed')
})

test('while the walls are put up one program may replace another, but none may be started', () => {
  const filter = workerFilter({ arch: 'x64', pid: PID, allowsLocalSockets: false, allowsExecution: true })!
  const of = (number: number, args: number[] = []) =>
    verdict(filter, { architecture: AUDIT.x64, number, args })
  assert.deepEqual([of(59), of(322), of(57), of(56, [17])], ['allowed', 'EPERM', 'EPERM', 'EPERM'])
})

test('GPU drivers may create local sockets, and no others', () => {
  const filter = workerFilter({ arch: 'x64', pid: PID, allowsLocalSockets: true, allowsExecution: false })!
  const socket = (family: number) => verdict(filter, { architecture: AUDIT.x64, number: 41, args: [family] })
  assert.deepEqual([socket(1), socket(2), socket(10), socket(16)], ['allowed', 'EPERM', 'EPERM', 'EPERM'])
})

test('an unknown architecture has no filter', () => {
  assert.equal(
    workerFilter({ arch: 'riscv64', pid: 1, allowsLocalSockets: false, allowsExecution: false }),
    null,
  )
})
