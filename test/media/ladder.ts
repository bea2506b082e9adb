import { cpu } from '../../src/io/media/worker/device.ts'
import { Pictures } from '../../src/io/media/worker/pictures.ts'
import { profileOf } from '../fakes/profile.ts'
import { lastFrameOf, planeOf } from './media.ts'

/** Three sizes, each of which is scaled from the next larger one. */
export const ladder = [
  profileOf({ width: 426, height: 240 }),
  profileOf({ width: 640, height: 360 }),
  profileOf({ width: 1280, height: 720 }),
] as const

/**
 * The mean difference of brightness, of 255, between pictures scaled in steps and at once: the last one of the source, in
 * each size of the ladder.
 */
export async function differencesInSteps(source: Uint8Array): Promise<number[]> {
  using frame = await lastFrameOf(source)
  const brightnessOf = async (inSteps: boolean) => {
    using pictures = new Pictures(ladder, cpu, { inSteps })
    using picture = pictures.of(frame)
    const all: Uint8Array[] = []
    for (const index of ladder.keys()) {
      using shown = picture.forRendition(index)
      using scaled = await shown.scaled()
      all.push(planeOf(scaled, 0))
    }
    return all
  }
  const [steps, atOnce] = [await brightnessOf(true), await brightnessOf(false)]
  return steps.map((values, index) => {
    const others = atOnce[index]!
    return values.reduce((sum, value, at) => sum + Math.abs(value - others[at]!), 0) / values.length
  })
}
