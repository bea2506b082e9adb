import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Service } from '../../lib/service.ts'
import { FolderObjects } from './folder-objects.ts'

/** A folder for files, and the flag that names it. */
export interface NamedFolder {
  readonly flag: string
  readonly folder: string
}

/**
 * Makes sure that those stores of the settings that are folders can be written, so that a wrong path is told at the start and
 * not by the first stream. A bucket is not asked: one that is away keeps no node from its start.
 */
export class StoreFolders implements Service {
  readonly name = 'folders of stores'
  readonly #folders: readonly NamedFolder[]
  readonly #needs: { readonly dice: Dice }

  constructor(folders: readonly NamedFolder[], needs: { readonly dice: Dice }) {
    this.#folders = folders
    this.#needs = needs
  }

  /** Throws NodeError `store-folder-unusable`, which names the flag. */
  async start(): Promise<void> {
    for (const { flag, folder } of this.#folders) {
      try {
        await new FolderObjects({ folder }, this.#needs).check()
      } catch (error) {
        throw new NodeError<'store-folder-unusable'>(
          'store-folder-unusable',
          `${flag} ${messageOf(error)}: fix that, or give another folder`,
          { cause: error },
        )
      }
    }
  }
}
