import type { VideoCodec } from './rendition.ts'

/** What a GPU, or the machine's cores, turned out to be able to do. */
export interface MediaAbilities {
  /** The GPU by the number that `-nvidia` has for it; null for the cores. */
  readonly device: string | null
  /** Capability numbers (wire.md §7) of what it decodes and encodes, on the cores where the GPU cannot. */
  readonly capabilities: readonly number[]
  /** What the GPU itself decodes, by FFmpeg's names. */
  readonly decodes: readonly string[]
  /** What the GPU itself encodes. */
  readonly encodes: readonly VideoCodec[]
  /** Why the GPU does not encode H.264; null where it does. */
  readonly encoderFault: string | null
}

/** What every one of several devices can do: a session may come to any of them. */
export function commonCapabilities(devices: readonly MediaAbilities[]): number[] {
  const [first, ...others] = devices
  if (!first) return []
  return first.capabilities.filter((bit) => others.every(({ capabilities }) => capabilities.includes(bit)))
}

const names: Readonly<Record<string, string>> = {
  ...{ h264: 'H.264', h265: 'HEVC', hevc: 'HEVC', vp8: 'VP8', vp9: 'VP9' },
}

/** One sentence for the operator. */
export function describeDevice({ decodes, device, encoderFault, encodes }: MediaAbilities): string {
  const list = (codecs: readonly string[]) => codecs.map((codec) => names[codec] ?? codec).join(', ')
  const decoding = decodes.length > 0 ? `decodes ${list(decodes)}` : 'decodes nothing that was tried'
  const encoding =
    encodes.length > 0
      ? `encodes ${list(encodes)}`
      : `has no encoder that works (${encoderFault ?? 'none was tried'}), so renditions are encoded on the cores`
  return `GPU ${device} ${decoding} and ${encoding}`
}

/**
 * What CUDA calls a GPU that `-nvidia` has a number for: an operator who shows this process only some GPUs, by
 * CUDA_VISIBLE_DEVICES, counts those, and reaches no other.
 */
export function visibleName(device: string, shown: string | undefined): string {
  return shown === undefined ? device : (namesIn(shown)[Number(device)] ?? NO_GPU)
}

/** How many GPUs CUDA_VISIBLE_DEVICES shows of those that there are. */
export function countVisible(present: number, shown: string | undefined): number {
  return shown === undefined ? present : namesIn(shown).length
}

/** CUDA's own way to show none. */
const NO_GPU = '-1'

/** Up to the first that is none: what follows that is not shown, as CUDA has it. */
function namesIn(shown: string): string[] {
  const names = shown.split(',').map((name) => name.trim())
  const end = names.findIndex((name) => name === '' || name === NO_GPU)
  return end < 0 ? names : names.slice(0, end)
}
