import { spawnSync } from 'node:child_process'
import { after } from 'node:test'
import { freePort } from '../../devnet/free-port.ts'
import { release, spawnLeashed } from '../../devnet/leash.ts'
import { canConnect } from '../../devnet/tcp-link.ts'
import { parseStoreAddress } from '../../src/domain/store-address.ts'
import { GoogleObjects, type GooglePlace } from '../../src/io/objects/google-objects.ts'
import { objectsSuite } from '../suites/objects.ts'
import { eventually } from '../tools/until.ts'

/** The emulator of Google Cloud Storage that a Python package brings: it asks for no key. */
const PROGRAM = 'gcp-storage-emulator'

const isThere = spawnSync(PROGRAM, ['--help'], { stdio: 'ignore' }).status === 0
const skip = isThere ? false : `needs ${PROGRAM}, a Python package`
const port = await freePort()
let folders = 0

if (isThere) {
  const args = [
    'start',
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
    '--in-memory',
    '--default-bucket',
    'bucket',
  ]
  const emulator = spawnLeashed(PROGRAM, args)
  emulator.stdout.resume()
  emulator.stderr.resume()
  after(() => release(emulator))
  await eventually('the emulator answers', () => canConnect(port))
}

objectsSuite(
  'in the emulator of Google’s store',
  async () => {
    const text = `gs://bucket/folder-${folders++}/with space?endpoint=http://127.0.0.1:${port}`
    const { place, shown } = parseStoreAddress(text)
    const needs = { tokens: async () => async () => 'none' }
    return new GoogleObjects(place as GooglePlace, { shown, isPublic: true }, needs)
  },
  { checksPaths: true, skip },
)
