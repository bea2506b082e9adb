import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { NodeProcess } from '../../devnet/node-process.ts'
import { freePort, LOOPBACK } from '../../devnet/tcp-link.ts'
import { hostAndPort } from '../../src/lib/hosts.ts'

/** Nodes of one test: each a process of its own by the command that an operator types, all stopped at its end. */
export interface TestNodes {
  /** Removed at the end. */
  readonly folder: string
  /** A node that has not been started yet, with a data folder and a control API of its own. */
  node(name: string, flags: readonly string[]): Promise<NodeProcess>
}

/** Makes room for a test's nodes. */
export async function testNodes(t: TestContext, host = LOOPBACK): Promise<TestNodes> {
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
      const data = ['-dataDir', join(folder, name), '-cliAddr', control]
      const process = new NodeProcess({ name, flags: [...flags, ...data], control })
      running.push(process)
      return process
    },
  }
}
