import type { NodeProcess } from '../devnet/node-process.ts'
import { eventually } from '../test/tools/until.ts'

const looksAt = new WeakMap<NodeProcess, number>()

/** Bytes that a node of `null-engine-node.ts` holds after a collection: in objects, and in buffers beside them. */
export async function heapOf(
  node: NodeProcess,
): Promise<{ readonly objects: number; readonly buffers: number }> {
  const looks = (looksAt.get(node) ?? 0) + 1
  looksAt.set(node, looks)
  const told = new RegExp(`^heap ${looks}: (\\d+) bytes, (\\d+) in buffers$`, 'm')
  process.kill(node.pid!, 'SIGUSR2')
  await eventually('the node tells its heap', () => told.test(node.output))
  const [, objects, buffers] = told.exec(node.output)!
  return { objects: Number(objects), buffers: Number(buffers) }
}
