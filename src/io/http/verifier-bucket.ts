import type { Dice } from '../../lib/dice.ts'
import type { Log } from '../../lib/log.ts'
import type { OutsideStore } from '../../services/gateway/outside-store.ts'
import { ownName, SOURCE_FILE, type VerifierFiles, type VerifierPlace } from './verifier-place.ts'

/**
 * The bucket of `-objectStore`, from which a verifier fetches the segments that it judges (gateway.md §12). It gets copies of
 * what this node fetched: what an orchestrator saved in the bucket itself, it could exchange before it is judged.
 */
export class VerifierBucket implements VerifierPlace {
  readonly #store: Pick<OutsideStore, 'prepare' | 'remove' | 'save'>
  readonly #needs: { readonly dice: Dice; readonly log: Log }

  constructor(
    store: Pick<OutsideStore, 'prepare' | 'remove' | 'save'>,
    needs: { readonly dice: Dice; readonly log: Log },
  ) {
    this.#store = store
    this.#needs = needs
  }

  /** Nothing is connected to: a bucket that is away does not keep the node from its start. */
  async open(): Promise<void> {
    await this.#store.prepare?.()
  }

  async write(
    source: Uint8Array,
    renditions: readonly { readonly name: string; readonly bytes: Uint8Array }[],
    signal: AbortSignal,
  ): Promise<VerifierFiles> {
    const own = ownName(this.#needs.dice.bytes(8))
    const files = [{ name: SOURCE_FILE, bytes: source }, ...renditions].map(({ bytes, name }) => ({
      ...{ path: `${own}/${name}`, bytes },
    }))
    const remove = () => this.#remove(files.map(({ path }) => path))
    const saved = await Promise.allSettled(
      files.map(({ bytes, path }) => this.#store.save(path, bytes, { signal })),
    )
    const urls: string[] = []
    for (const one of saved) {
      if (one.status === 'fulfilled') urls.push(one.value)
      else {
        remove()
        throw one.reason
      }
    }
    const [sourceUrl, ...renditionUrls] = urls as [string, ...string[]]
    return {
      source: sourceUrl,
      renditions: renditionUrls,
      // A result does not wait for it.
      [Symbol.asyncDispose]: async () => remove(),
    }
  }

  #remove(paths: readonly string[]): void {
    for (const path of paths) {
      this.#store.remove(path).catch((error: unknown) => {
        this.#needs.log.debug('a file for the verifier could not be removed', { path, error })
      })
    }
  }
}
