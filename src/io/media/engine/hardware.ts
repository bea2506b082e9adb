import { readdirSync, readFileSync } from 'node:fs'
import { countVisible, describeDevice, type MediaAbilities } from '../../../domain/media-abilities.ts'
import { messageOf, NodeError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { programUrl } from '../../../lib/program-files.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { WorkerProcess } from './worker-process.ts'

/** Why the media engine has nothing to work with. */
export type HardwareFault = 'no-gpu'

/** Which devices are wanted. */
export interface MachineOptions {
  /** GPUs by number, or all there are; an empty list for the cores. */
  readonly gpus: readonly string[] | 'all'
  /** Whether each is tried out; otherwise it is believed to decode and encode what GPUs usually do. */
  readonly isTried: boolean
}

/** The usable devices of a machine: the GPUs that work, and the CPU. */
export interface Machine {
  readonly devices: readonly MediaAbilities[]
  /** What the cores can do, which is all there is where there is no device. */
  readonly cores: MediaAbilities
}

/** Looks at a GPU or the cores. Rejects with what is wrong. */
export type TryOut = (device: string | null) => Promise<MediaAbilities>

const PCI_DEVICES = '/sys/bus/pci/devices'
const NVIDIA = '0x10de'
/** Display controllers and the like: graphics cards, with and without outputs. */
const DISPLAY_CLASS = /^0x03/
const TRY_OUT_MS = 60_000
/** A GPU works on several segments at once. */
const MIN_WORKERS_OF_A_GPU = 2

/**
 * Tries out what is to work. A GPU that does not is named and left out; throws NodeError when none is left, since the
 * operator counts on them.
 */
export async function lookAtMachine(
  { gpus, isTried }: MachineOptions,
  needs: {
    readonly log: Log
    readonly tryOut: TryOut
    readonly countGpus: () => number
    readonly tellDriver: (log: Log) => void
  },
): Promise<Machine> {
  const { countGpus, log, tellDriver, tryOut } = needs
  if (gpus === 'all' || gpus.length > 0) tellDriver(log)
  const cores = await tryOut(null)
  const named = gpus === 'all' ? Array.from({ length: countGpus() }, (_, index) => String(index)) : gpus
  if (gpus === 'all' && named.length === 0) {
    throw new NodeError<HardwareFault>(
      'no-gpu',
      "no devices found with vendor name 'Nvidia': leave -nvidia out to transcode on the CPU",
    )
  }
  if (!isTried) return { devices: named.map((device) => believed(device, cores)), cores }
  const devices: MediaAbilities[] = []
  const faults: string[] = []
  // All at once: one that hangs takes a minute.
  const tries = await Promise.allSettled(named.map((device) => tryOut(device).then(asWorking)))
  for (const [index, tried] of tries.entries()) {
    if (tried.status === 'fulfilled') {
      log.info(describeDevice(tried.value))
      devices.push(tried.value)
    } else {
      const reason = messageOf(tried.reason)
      log.error('GPU does not work, starting without it', { gpu: named[index], reason })
      faults.push(`GPU ${named[index]}: ${reason}`)
    }
  }
  if (named.length > 0 && devices.length === 0) {
    throw new NodeError<HardwareFault>(
      'no-gpu',
      `no GPU of -nvidia works (${faults.join('; ')}): repair one, or leave -nvidia out to transcode on the CPU`,
    )
  }
  return { devices, cores }
}

/** How many worker processes to keep for each device, or for the cores where there is none. */
export function workersFor(cores: number, devices: readonly MediaAbilities[]): number {
  return devices.length === 0 ? cores : Math.max(MIN_WORKERS_OF_A_GPU, Math.ceil(cores / devices.length))
}

/** Tries a GPU or the cores out in a process of its own, which may crash or hang without harm. */
export async function tryOutInProcess(
  device: string | null,
  options: { readonly sandbox?: Sandbox | undefined; readonly signal?: AbortSignal } = {},
): Promise<MediaAbilities> {
  const { sandbox, signal } = options
  const gpu = device === null ? null : { device, decodes: [], encodes: [] }
  const setUp = { gpu, folder: null, sandbox }
  const worker = new WorkerProcess(programUrl('io/media/worker/try-out-worker'), setUp)
  const stop = () => void worker.kill()
  const timer = setTimeout(stop, TRY_OUT_MS)
  signal?.addEventListener('abort', stop, { once: true })
  if (signal?.aborted) stop()
  try {
    await worker.ready
    return await worker.call('try out', {}).result
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
    await worker.kill()
  }
}

/** How many Nvidia GPUs this process may use. */
export function countNvidiaGpus(): number {
  return countVisible(presentNvidiaGpus(), process.env.CUDA_VISIBLE_DEVICES)
}

/** By the machine's list of cards, or else by the driver's files. */
function presentNvidiaGpus(): number {
  const cards = namesIn(PCI_DEVICES).filter((name) => {
    const read = (file: string) => readFileSync(`${PCI_DEVICES}/${name}/${file}`, 'utf8').trim()
    try {
      return read('vendor') === NVIDIA && DISPLAY_CLASS.test(read('class'))
    } catch {
      return false
    }
  })
  return cards.length > 0 ? cards.length : namesIn('/dev').filter((name) => /^nvidia\d+$/.test(name)).length
}

function asWorking(abilities: MediaAbilities): MediaAbilities {
  if (abilities.decodes.length > 0 || abilities.encodes.length > 0) return abilities
  throw new NodeError<HardwareFault>('no-gpu', 'it neither decodes nor encodes anything')
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function believed(device: string, cores: MediaAbilities): MediaAbilities {
  return {
    ...cores,
    device,
    decodes: ['h264', 'hevc', 'vp8', 'vp9'],
    encodes: ['h264', 'h265'],
    encoderFault: null,
  }
}
