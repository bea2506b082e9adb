import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { formatHex } from '../lib/bytes.ts'
import type { Dice } from '../lib/dice.ts'
import { NodeError } from '../lib/errors.ts'

const FILE = 'node-id'
const ID_BYTES = 8
const ID = /^[0-9a-f]{16}$/

/** Why a node has no id. */
export type NodeIdFault = 'node-id-unusable'

/**
 * The id by which a cluster knows this node: 16 hexadecimal digits, made at its first start and kept in its data folder.
 * Throws NodeError `node-id-unusable` where the file holds something else, or cannot be written.
 */
export async function nodeIdIn(dataDir: string, dice: Dice): Promise<string> {
  const path = join(dataDir, FILE)
  try {
    const id = (await readFile(path, 'utf8')).trim()
    if (ID.test(id)) return id
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return await makeId(path, dice)
    throw unusable(path, 'cannot be read', error)
  }
  throw unusable(path, 'holds no node id of 16 hexadecimal digits')
}

async function makeId(path: string, dice: Dice): Promise<string> {
  const id = formatHex(dice.bytes(ID_BYTES)).slice(2)
  try {
    // Renamed into place, so that a crash leaves either no file or a whole one.
    const file = await open(`${path}.new`, 'w', 0o600)
    try {
      await file.writeFile(`${id}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.new`, path)
  } catch (error) {
    throw unusable(path, 'cannot be written', error)
  }
  return id
}

function unusable(path: string, why: string, cause?: unknown): NodeError<NodeIdFault> {
  return new NodeError<NodeIdFault>(
    'node-id-unusable',
    `${path} ${why}: remove it, and the node takes a new id, or give another -dataDir`,
    { cause },
  )
}
