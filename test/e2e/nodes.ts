import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import { LOOPBACK } from '../../devnet/tcp-link.ts'
import { hostAndPort } from '../../src/lib/hosts.ts'

/**
 * The nodes of one test: separate processes, started by the commands of an operator and stopped at the end of the test.
 */
export interface TestNodes {
  /** Removed at the end. */
  readonly folder: string
  /** A node that is not started yet, with its own data folder and control API. */
  node(name: string, flags: readonly string[]): Promise<NodeProcess>
}

/** Creates the folder for a test's nodes. */
export async function testNodes(
  t: TestContext,
  {
    host = LOOPBACK,
    program,
  }: {
    readonly host?: string /** Path of `livepeer`; default: that of this folder. */
    readonly program?: string
  } = {},
): Promise<TestNodes> {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-nodes-'))
  const running: NodeProcess[] = []
  t.after(async () => {
    await Promise.all(running.map((process) => process.stop()))
    await rm(folder, { recursive: true, force: true })
  })
  return {
    folder,
    async node(name, flags) {
      const control = hostAndPort(host, await freePort())
      const rtmp = flags.includes('-gateway') && !flags.includes('-rtmpAddr') ? ['-rtmpAddr', 'none'] : []
      const data = ['-dataDir', join(folder, name), '-cliAddr', control]
      const process = new NodeProcess({
        name,
        flags: [...flags, ...rtmp, ...data],
        control,
        ...(program !== undefined && { program }),
      })
      running.push(process)
      return process
    },
  }
}
