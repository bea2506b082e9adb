import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  commonCapabilities,
  countVisible,
  describeDevice,
  type MediaAbilities,
  visibleName,
} from '../../../domain/media-abilities.ts'
import { openLog } from '../../../lib/log.ts'
import { lookAtMachine, type MachineOptions, tryOutInProcess } from './hardware.ts'

const cores: MediaAbilities = {
  ...{ device: null, capabilities: [15, 16, 17, 18, 21], decodes: [], encodes: [], encoderFault: null },
}
const whole: MediaAbilities = { ...cores, device: '0', decodes: ['h264', 'hevc'], encodes: ['h264', 'h265'] }
const decoderOnly: MediaAbilities = {
  ...{ ...cores, device: '1', capabilities: [15, 17, 18], decodes: ['hevc', 'vp9'], encodes: [] },
  encoderFault: 'Function not implemented',
}

async function look(options: Partial<MachineOptions>, gpus: readonly (MediaAbilities | Error)[]) {
  const lines: string[] = []
  const machine = await lookAtMachine(
    { gpus: [], isTried: true, ...options },
    {
      log: openLog({ level: 'info', write: (line) => lines.push(line) }),
      countGpus: () => gpus.length,
      tellDriver: (log) => log.info('Nvidia driver'),
      tryOut: async (device) => {
        const found = device === null ? cores : gpus[Number(device)]!
        if (found instanceof Error) throw found
        return found
      },
    },
  )
  return { machine, lines }
}

test('without -nvidia there are the cores', async () => {
  const { lines, machine } = await look({}, [whole])
  assert.deepEqual(machine, { devices: [], cores })
  assert.deepEqual(lines, [])
})

test('all means as many as there are', async () => {
  const { lines, machine } = await look({ gpus: 'all' }, [whole, decoderOnly])
  assert.deepEqual(machine.devices, [whole, decoderOnly])
  assert.match(lines[0]!, /"Nvidia driver"/, 'the driver is told before anything can fail')
})

test('a GPU that does not work is named and left out', async () => {
  const { machine, lines } = await look({ gpus: ['0', '1'] }, [whole, new Error('No such device')])
  assert.deepEqual(machine.devices, [whole])
  assert.ok(lines.some((line) => line.includes('GPU does not work') && line.includes('"gpu":"1"')))
})

test('a node that counts on GPUs does not start without any', async () => {
  await assert.rejects(look({ gpus: ['0'] }, [new Error('No such device')]), {
    message:
      'no GPU of -nvidia works (GPU 0: No such device): repair one, or leave -nvidia out to transcode on the CPU',
  })
  await assert.rejects(look({ gpus: 'all' }, []), {
    message: "no devices found with vendor name 'Nvidia': leave -nvidia out to transcode on the CPU",
  })
  await assert.rejects(look({ gpus: ['0'] }, [{ ...whole, decodes: [], encodes: [] }]), {
    message: /it neither decodes nor encodes anything/,
  })
})

test('an untried GPU is believed to do what GPUs do', async () => {
  const { machine } = await look({ gpus: ['3'], isTried: false }, [])
  assert.deepEqual(machine.devices[0], { ...whole, device: '3', decodes: ['h264', 'hevc', 'vp8', 'vp9'] })
})

test('what is offered is what every device can do', () => {
  assert.deepEqual(commonCapabilities([whole, decoderOnly]), [15, 17, 18])
  assert.deepEqual(commonCapabilities([cores]), cores.capabilities)
})

test('where CUDA_VISIBLE_DEVICES shows some GPUs, these are counted and no others reached', () => {
  for (const [shown, count, names] of [
    [undefined, 4, ['0', '1', '2', '3']],
    ['2,3', 2, ['2', '3', '-1', '-1']],
    ['GPU-8f, GPU-1c', 2, ['GPU-8f', 'GPU-1c', '-1', '-1']],
    ['1,-1,2', 1, ['1', '-1', '-1', '-1']],
    ['', 0, ['-1', '-1', '-1', '-1']],
  ] as const) {
    assert.equal(countVisible(4, shown), count)
    assert.deepEqual(
      ['0', '1', '2', '3'].map((device) => visibleName(device, shown)),
      names,
    )
  }
})

test('an operator is told what a GPU does and what it does not', () => {
  assert.equal(describeDevice(whole), 'GPU 0 decodes H.264, HEVC and encodes H.264, HEVC')
  assert.equal(
    describeDevice(decoderOnly),
    'GPU 1 decodes HEVC, VP9 and has no working encoder (Function not implemented), so renditions are encoded on the CPU',
  )
})

test('the cores of this machine are really tried out, in a process of its own', async () => {
  const found = await tryOutInProcess(null)
  assert.equal(found.device, null)
  // VP8, and H.264 in 4:4:4, 4:2:2 and 10 bits are built into every FFmpeg.
  for (const bit of [17, 21, 22, 23, 24, 25]) assert.ok(found.capabilities.includes(bit), `bit ${bit}`)
})

test('a GPU that is not there is told as peers tell it', async () => {
  await assert.rejects(tryOutInProcess('99'), { message: 'No such device' })
})
