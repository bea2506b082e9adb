/**
 * Puts up the walls around a worker and then executes that worker, before any untrusted byte is read. It executes
 * another program because Landlock and capabilities apply to single threads, and only the calling thread remains. A
 * missing wall ends the process, unless this is a trial: then it executes a program that prints which walls stand.
 */
import { writeFileSync, writeSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { messageOf } from '../../../lib/errors.ts'
import { programFile } from '../../../lib/program-files.ts'
import type { ConfineOrder, SealOrder, Wall } from './confinement.ts'
import { enforceLandlock } from './landlock.ts'
import { enterRoot } from './root.ts'
import { seal } from './seal.ts'
import { dropCapabilities, forbidNewPrivileges, keepOpen, limitResources } from './syscalls.ts'

const NODE_FLAGS = ['--disable-sigusr1', '--disable-warning=ExperimentalWarning']

const order = JSON.parse(process.argv[2]!) as ConfineOrder
const report: { [Name in Wall]?: string | null } = {}

function putUp(wall: Wall, build: () => void): void {
  if (!order.walls.includes(wall)) return
  try {
    build()
    report[wall] = null
  } catch (error) {
    report[wall] = messageOf(error)
    if (order.worker === null) return
    writeSync(2, `${wall}: ${messageOf(error)}\n`)
    process.exit(1)
  }
}

// The cache can be written only here; the next program reads it.
flushCompileCache()
try {
  // When memory runs out, the kernel should kill this process rather than its parent.
  writeFileSync('/proc/self/oom_score_adj', '1000')
} catch {
  // Not permitted, or not there.
}
putUp('namespaces', () => {
  if (order.entersRoot) enterRoot(order.view)
})
putUp('resource limits', () => limitResources(order.limits))
putUp('no capabilities', dropCapabilities)
putUp('no new privileges', forbidNewPrivileges)
putUp('Landlock', () => enforceLandlock(order.view))
putUp('seccomp', () => seal({ ...order.seal, allowsExecution: true }))

const { NODE_COMPILE_CACHE: _, ...env } = process.env
const sealOrder: SealOrder = report.seccomp === null ? order.seal : null
const command = order.worker
  ? [order.worker.module, ...order.worker.args, JSON.stringify(sealOrder)]
  : [programFile('io/media/sandbox/confine-report'), JSON.stringify(report), JSON.stringify(sealOrder)]
if (order.worker) keepOpen(order.worker.pipe)
// From here on the event loop must not run, because it may use calls that are now refused.
process.execve!(
  process.execPath,
  [process.execPath, ...NODE_FLAGS, ...command],
  env as Record<string, string>,
)
