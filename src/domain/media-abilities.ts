import type { VideoCodec } from './rendition.ts'

/** What a GPU, or the CPU, was found to support. */
export interface MediaAbilities {
  /** The GPU's number in `-nvidia`; null for the CPU. */
  readonly device: string | null
  /**
   * Capability numbers (wire.md §7) of what it decodes and encodes, including what the CPU does in place of the GPU.
   */
  readonly capabilities: readonly number[]
  /** What the GPU itself decodes, by FFmpeg's names. */
  readonly decodes: readonly string[]
  /** What the GPU itself encodes. */
  readonly encodes: readonly VideoCodec[]
  /** Why the GPU cannot encode H.264; null if it can. */
  readonly encoderFault: string | null
}

/** What all of these devices support, since a session may run on any of them. */
export function commonCapabilities(devices: readonly MediaAbilities[]): number[] {
  const [first, ...others] = devices
  if (!first) return []
  return first.capabilities.filter((bit) => others.every(({ capabilities }) => capabilities.includes(bit)))
}

const names: Readonly<Record<string, string>> = {
  ...{ h264: 'H.264', h265: 'HEVC', hevc: 'HEVC', vp8: 'VP8', vp9: 'VP9' },
}

/** One sentence about a device, for the operator. */
export function describeDevice({ decodes, device, encoderFault, encodes }: MediaAbilities): string {
  const list = (codecs: readonly string[]) => codecs.map((codec) => names[codec] ?? codec).join(', ')
  const decoding = decodes.length > 0 ? `decodes ${list(decodes)}` : 'decodes none of the formats tried'
  const encoding =
    encodes.length > 0
      ? `encodes ${list(encodes)}`
      : `has no working encoder (${encoderFault ?? 'none was tried'}), so renditions are encoded on the CPU`
  return `GPU ${device} ${decoding} and ${encoding}`
}

/** CUDA's name for a GPU number of `-nvidia`. If CUDA_VISIBLE_DEVICES shows only some GPUs, the numbers count those. */
export function visibleName(device: string, shown: string | undefined): string {
  return shown === undefined ? device : (namesIn(shown)[Number(device)] ?? NO_GPU)
}

/** How many of the GPUs CUDA_VISIBLE_DEVICES shows. */
export function countVisible(present: number, shown: string | undefined): number {
  return shown === undefined ? present : namesIn(shown).length
}

/** CUDA's own value for no GPU. */
const NO_GPU = '-1'

/** The names up to the first invalid one; CUDA ignores the rest. */
function namesIn(shown: string): string[] {
  const names = shown.split(',').map((name) => name.trim())
  const end = names.findIndex((name) => name === '' || name === NO_GPU)
  return end < 0 ? names : names.slice(0, end)
}
