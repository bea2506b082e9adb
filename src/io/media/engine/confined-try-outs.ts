import type { MediaAbilities } from '../../../domain/media-abilities.ts'
import { messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'

/** What trying out within walls takes. */
export interface ConfinedTryOutNeeds {
  readonly sandbox: Sandbox
  readonly log: Log
  /** Looks at a GPU or the cores, within those walls. Rejects with what is wrong. */
  readonly tryOut: (device: string | null, sandbox: Sandbox) => Promise<MediaAbilities>
}

/**
 * Tries out within the walls around media workers. A GPU that does more within fewer of them, as where its driver needs what
 * the walls keep away, has its workers there, and that is told.
 */
export class ConfinedTryOuts {
  readonly #needs: ConfinedTryOutNeeds
  #gpuSandbox: Sandbox

  constructor(needs: ConfinedTryOutNeeds) {
    this.#needs = needs
    this.#gpuSandbox = needs.sandbox
  }

  /** The walls for workers on GPUs: the fewest that one of those tried out needs. */
  get gpuSandbox(): Sandbox {
    return this.#gpuSandbox
  }

  /** Looks at a GPU or the cores. Rejects with what is wrong. */
  async tryOut(device: string | null): Promise<MediaAbilities> {
    const { log, sandbox, tryOut } = this.#needs
    const trial = await tried(tryOut(device, sandbox))
    if (device !== null && trial.fault !== null) {
      for (const weaker of sandbox.weaker) {
        const { abilities } = await tried(tryOut(device, weaker))
        if (!abilities || extentOf(abilities) <= extentOf(trial.abilities)) continue
        log.warn('GPU does not work in the full sandbox: its workers get a weaker one', {
          gpu: device,
          walls: weaker.walls.join(', ') || 'none',
          reason: trial.fault,
        })
        if (weaker.walls.length < this.#gpuSandbox.walls.length) this.#gpuSandbox = weaker
        return abilities
      }
    }
    if (!trial.abilities) throw trial.error
    return trial.abilities
  }
}

interface Trial {
  readonly abilities: MediaAbilities | null
  /** What failed; null where nothing did. */
  readonly fault: string | null
  readonly error: unknown
}

function tried(trial: Promise<MediaAbilities>): Promise<Trial> {
  return trial.then(
    (abilities) => ({ abilities, fault: abilities.encoderFault, error: null }),
    (error) => ({ abilities: null, fault: messageOf(error), error }),
  )
}

function extentOf(abilities: MediaAbilities | null): number {
  return abilities ? abilities.decodes.length + abilities.encodes.length : 0
}
