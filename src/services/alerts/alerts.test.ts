import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { NOTHING_KNOWN } from '../../../test/fakes/alert-facts.ts'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import type { AlertForm } from '../../domain/alert-target.ts'
import type { AlertFacts } from '../../domain/alerts.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { Supervisor } from '../../lib/service.ts'
import type { KeptAlert } from './alert-log.ts'
import { type AlertKeeping, Alerts, type NamedTarget } from './alerts.ts'

const expiring = { certificateExpiresAtMs: 0 }
const lost = { members: [{ node: 'n2', address: 'h:1', isAlive: false, silentMs: 5 }] }
const gpu = { devices: [{ device: '3', outOfService: 'x' }] }

interface Sent {
  readonly to: string
  readonly texts: readonly string[]
}

/** A node with alerts, whose facts, targets and leadership a test changes. */
async function world(t: TestContext, forms: readonly AlertForm[] = ['webhook'], isClustered = false) {
  const clock = new ManualClock()
  const kept = new Map<AlertKeeping, readonly KeptAlert[]>()
  const sent: Sent[] = []
  const w = {
    ...{ clock, kept, sent, log: new RecordingLog() },
    facts: {} as Partial<AlertFacts>,
    /** Targets that take nothing. */
    broken: new Set<string>(),
    canKeep: true,
    leads: true,
    async start() {
      const targets = forms.map(
        (form, i): NamedTarget => ({ id: `t${i}`, name: form, form, url: `http://${i}` }),
      )
      const supervisor = new Supervisor()
      await supervisor.start(
        new Alerts(
          { node: 'n1', targets },
          {
            look: async () => ({ ...NOTHING_KNOWN, nowMs: clock.now(), ...w.facts }),
            send: async ({ url }, { alerts }) => {
              const to = `t${url.slice(-1)}`
              if (w.broken.has(to)) throw new Error('down')
              const texts = alerts.map(
                ({ code, endedAtMs }) => `${endedAtMs === null ? 'firing' : 'over'} ${code}`,
              )
              sent.push({ to, texts })
            },
            records: {
              load: async (of) => kept.get(of) ?? [],
              save: async (of, alerts) => {
                if (!w.canKeep) throw new Error('disk full')
                kept.set(of, structuredClone(alerts))
              },
            },
            leads: isClustered ? async () => w.leads : null,
            ...{ clock, log: w.log },
          },
        ),
      )
      await rest()
      return supervisor
    },
    async pass(ms: number) {
      for (let left = ms; left > 0; left -= 5_000) {
        await clock.wind(Math.min(5_000, left))
        await rest()
      }
    },
    texts: (to = 't0') => sent.filter((one) => one.to === to).flatMap(({ texts }) => texts),
  }
  const running = await w.start()
  let stop = () => running.stop()
  t.after(() => stop())
  return Object.assign(w, {
    async restart(pause = 0) {
      await stop()
      await w.pass(pause)
      const next = await w.start()
      stop = () => next.stop()
    },
  })
}

async function rest(): Promise<void> {
  for (let i = 0; i < 20; i++) await settle()
}

test('an alert is told once when it begins and once when it is over, not while it goes on or flickers', async (t) => {
  const w = await world(t)
  w.facts = expiring
  await w.pass(15_000)
  assert.deepEqual(w.texts(), ['firing certificate-expiring'])
  await w.pass(600_000)
  w.facts = {}
  await w.pass(45_000)
  w.facts = expiring
  await w.pass(120_000)
  assert.deepEqual(w.texts(), ['firing certificate-expiring'])
  w.facts = {}
  await w.pass(90_000)
  assert.deepEqual(w.texts(), ['firing certificate-expiring', 'over certificate-expiring'])
  w.facts = expiring
  await w.pass(15_000)
  assert.deepEqual(w.texts().length, 3, 'it begins anew')
})

test('what must last for a while is told only then', async (t) => {
  const w = await world(t)
  w.facts = gpu
  await w.pass(45_000)
  w.facts = {}
  await w.pass(15_000)
  w.facts = gpu
  await w.pass(60_000)
  assert.deepEqual(w.texts(), [])
  await w.pass(30_000)
  assert.deepEqual(w.texts(), ['firing gpu-out-of-service'])
})

test('a restart tells nothing again, and says what is over since', async (t) => {
  const w = await world(t)
  w.facts = { ...expiring, ...gpu }
  await w.pass(90_000)
  assert.deepEqual(w.texts().sort(), ['firing certificate-expiring', 'firing gpu-out-of-service'])
  await w.restart(30_000)
  await w.pass(120_000)
  assert.equal(w.sent.flatMap(({ texts }) => texts).length, 2)
  w.facts = expiring
  await w.restart(0)
  await w.pass(120_000)
  assert.deepEqual(w.texts().slice(2), ['over gpu-out-of-service'])
})

test('a target that is down is told later, a bounded number of times, and holds up no other', async (t) => {
  const w = await world(t, ['webhook', 'webhook'])
  w.broken.add('t0')
  w.facts = expiring
  await w.pass(30_000)
  assert.deepEqual([w.texts('t0'), w.texts('t1')], [[], ['firing certificate-expiring']])
  w.facts = {}
  await w.pass(1_800_000)
  assert.deepEqual(w.texts('t1'), ['firing certificate-expiring', 'over certificate-expiring'])
  const warnings = w.log.lines.filter(({ message }) => message === 'alerts cannot be sent, retrying')
  assert.equal(warnings.filter(({ level }) => level === 'warn').length, 1)
  assert.ok(warnings.length < 20, `${warnings.length} tries in half an hour`)
  w.broken.clear()
  await w.pass(300_000)
  assert.deepEqual(w.texts('t0'), ['over certificate-expiring'], 'it lasted and ended meanwhile')
})

test('what no target takes for a day is dropped', async (t) => {
  const w = await world(t)
  w.broken.add('t0')
  w.facts = expiring
  await w.pass(30_000)
  w.facts = {}
  await w.pass(120_000)
  assert.equal(w.kept.get('own')?.[0]?.code, 'certificate-expiring')
  for (let hours = 0; hours < 25; hours++) {
    await w.clock.wind(3_600_000)
    await rest()
  }
  await w.pass(15_000)
  assert.deepEqual(w.kept.get('own'), [])
})

test('Alertmanager is told again every minute while an alert lasts', async (t) => {
  const w = await world(t, ['alertmanager'])
  w.facts = expiring
  await w.pass(240_000)
  const times = w.sent.length
  assert.ok(times >= 4 && times <= 6, `${times} messages`)
  w.facts = {}
  await w.pass(240_000)
  const after = w.sent.length
  await w.pass(240_000)
  assert.equal(w.sent.length, after)
})

test('one node of a cluster tells what concerns all; another takes over without telling it again', async (t) => {
  const w = await world(t, ['webhook'], true)
  w.leads = false
  w.facts = { ...lost, ...expiring }
  await w.pass(120_000)
  assert.deepEqual(w.texts(), ['firing certificate-expiring'])
  const { sinceMs } = { sinceMs: w.clock.now() }
  w.kept.set('cluster', [
    {
      code: 'node-lost',
      about: 'n2',
      says: 'a',
      change: 'b',
      sinceMs,
      endedAtMs: null,
      told: { t0: 'firing' },
    },
  ])
  w.leads = true
  await w.pass(120_000)
  assert.deepEqual(w.texts(), ['firing certificate-expiring'], 'the other has told it')
  w.facts = expiring
  await w.pass(120_000)
  assert.deepEqual(w.texts().slice(1), ['over node-lost'])
})

test('a disk that cannot be written keeps no alert from being told', async (t) => {
  const w = await world(t)
  w.canKeep = false
  w.facts = expiring
  await w.pass(30_000)
  assert.deepEqual(w.texts(), ['firing certificate-expiring'])
  await w.pass(60_000)
  assert.deepEqual(w.texts().length, 1)
})

test('any number of findings is told in bounded messages', async (t) => {
  const w = await world(t)
  w.facts = { devices: Array.from({ length: 500 }, (_, i) => ({ device: String(i), outOfService: 'x' })) }
  await w.pass(180_000)
  assert.equal(w.texts().length, 200)
  assert.ok(w.sent.every(({ texts }) => texts.length <= 20))
})
