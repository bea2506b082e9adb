import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { ownName, SOURCE_FILE, type VerifierFiles, type VerifierPlace } from './verifier-place.ts'

/** Where the verifier's container has the folder (gateway.md §12). */
const MOUNTED_AT = '/stream'
/** Each result has a folder of its own. */
const OWN_FOLDER = /^livepeer-[0-9a-f]{16}$/
/** What a gateway left behind that was killed; another one may share the folder, so what is newer stays. */
const STALE_MS = 60 * 60_000

/** The folder of `-verifierPath`, in which a verifier finds the segments that it judges. */
export class VerifierFolder implements VerifierPlace {
  readonly #path: string
  readonly #needs: { readonly clock: Clock; readonly dice: Dice }

  constructor(path: string, needs: { readonly clock: Clock; readonly dice: Dice }) {
    this.#path = path
    this.#needs = needs
  }

  /** Makes sure that files can be written, and removes what is left of earlier runs. Throws NodeError `verifier-folder-unusable`. */
  async open(): Promise<void> {
    try {
      const files = await this.write(new Uint8Array(1), [])
      await files[Symbol.asyncDispose]()
      for (const name of await readdir(this.#path)) {
        const path = join(this.#path, name)
        const isStale = OWN_FOLDER.test(name) && (await this.#ageMs(path)) > STALE_MS
        if (isStale) await rm(path, { recursive: true, force: true })
      }
    } catch (error) {
      throw new NodeError<'verifier-folder-unusable'>(
        'verifier-folder-unusable',
        `-verifierPath ${this.#path} cannot be written (${messageOf(error)}): give the folder that is shared with the verifier`,
        { cause: error },
      )
    }
  }

  /** Writes a source and its renditions, readable to the verifier; they are removed with the result. */
  async write(
    source: Uint8Array,
    renditions: readonly { readonly name: string; readonly bytes: Uint8Array }[],
  ): Promise<VerifierFiles> {
    const own = ownName(this.#needs.dice.bytes(8))
    const folder = join(this.#path, own)
    const remove = () => rm(folder, { recursive: true, force: true })
    await mkdir(folder, { mode: 0o755 })
    try {
      await writeFile(join(folder, SOURCE_FILE), source, { mode: 0o644 })
      for (const { bytes, name } of renditions) await writeFile(join(folder, name), bytes, { mode: 0o644 })
    } catch (error) {
      await remove()
      throw error
    }
    const seen = (name: string) => `${MOUNTED_AT}/${own}/${name}`
    return {
      source: seen(SOURCE_FILE),
      renditions: renditions.map(({ name }) => seen(name)),
      [Symbol.asyncDispose]: remove,
    }
  }

  async #ageMs(path: string): Promise<number> {
    return this.#needs.clock.now() - (await stat(path)).mtimeMs
  }
}
