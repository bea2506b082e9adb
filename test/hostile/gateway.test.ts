import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { devnetKeyBytes } from '../../devnet/artifacts.ts'
import { Network } from '../../devnet/network.ts'
import { encodedPixels } from '../../src/domain/balance.ts'
import { presetNamed } from '../../src/domain/rendition.ts'
import type { OrchestratorInfo, SegmentData } from '../../src/domain/segment.ts'
import { requestHash, segmentHash } from '../../src/domain/signed-hashes.ts'
import type { Payment } from '../../src/domain/ticket.ts'
import { OrchestratorClient } from '../../src/io/rpc/orchestrator-client.ts'
import { keccak256, signHash } from '../../src/lib/crypto.ts'
import { messageOf } from '../../src/lib/errors.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { FakePayer } from '../fakes/payer.ts'
import { makeSegment } from '../media/media.ts'

/** A cheating gateway against an orchestrator process on a real chain with real video. */

/** Wei; a segment of two seconds costs a little less than two tickets. */
const TICKET_EV = 10n ** 16n
const PRICE = 5_000_000_000n
const DURATION_MS = 2_000
const PROFILE = { ...presetNamed('P240p30fps16x9')!, width: 320, height: 180, format: 'mpegts' as const }
/** Keeps the frames of its source; estimates assume 60 per second. */
const ALL_FRAMES = { ...PROFILE, fps: 0 }
/** The most that the cost of redemption raises the price. */
const MARKUP = 2n
const never = new AbortController().signal

let folder: string
let network: Network
let short: Uint8Array
/** Two seconds with far more frames than any estimate. */
let dense: Uint8Array
const supervisor = new Supervisor()
const client = new OrchestratorClient()
const key = devnetKeyBytes('gateway')
const payer = new FakePayer('gateway', { key })

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'livepeer-hostile-'))
  network = await Network.prepare({
    roundLength: 1_000n,
    orchestratorFlags: ['-pricePerUnit', String(PRICE)],
    logFolder: join(folder, 'logs'),
  })
  await network.orchestrator.start()
  await supervisor.start(client)
  short = await makeSegment({ width: 320, height: 180, durationMs: DURATION_MS, audio: false })
  dense = await makeSegment({ width: 320, height: 180, fps: 480, durationMs: DURATION_MS, audio: false })
})

after(async () => {
  await supervisor.stop()
  await network?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function offer(): Promise<OrchestratorInfo> {
  const request = {
    ...{ address: payer.address, sig: signHash(key, requestHash(payer.address)) },
    ...{ capabilities: null, ignoreCapacityCheck: false },
  }
  return client.info(network.urls.orchestrator, request, {}, never)
}

function paymentFor({ ticketParams, priceInfo }: OrchestratorInfo, tickets: number): Payment {
  const offered = { ticketParams: ticketParams!, priceInfo: priceInfo! }
  if (tickets > 0) return payer.pay(offered, tickets)
  return { ...payer.pay(offered, 0), ticketParams: null, expirationParams: null }
}

/** The orchestrator's answer to a segment: `data`, its error text, or its refusal. */
async function send(
  info: OrchestratorInfo,
  payment: Payment,
  how: { body?: Uint8Array; durationMs?: number; profiles?: SegmentData['profiles']; leaves?: boolean } = {},
): Promise<string> {
  const { body = short, durationMs = DURATION_MS, profiles = [PROFILE] } = how
  const unsigned: SegmentData = {
    ...{ manifestId: 'movie', seq: 1n, hash: keccak256(body), profiles, durationMs },
    ...{ sig: new Uint8Array(0), capabilities: null, authToken: info.authToken, calcPerceptualHash: false },
    ...{ storage: [], clip: null, forceSessionReinit: false },
  }
  const segment = { ...unsigned, sig: signHash(key, segmentHash(unsigned)) }
  const gone = new AbortController()
  const submission = {
    ...{ segment, payment, body, bodyIsUri: false, headerTimeoutMs: 60_000, totalTimeoutMs: 120_000 },
    // Some time after the work has started.
    ...(how.leaves ? { onStatus: () => void setTimeout(() => gone.abort(), 300) } : {}),
  }
  try {
    const { outcome } = await client.submit(network.urls.orchestrator, submission, gone.signal)
    return outcome.kind === 'error' ? outcome.text : outcome.kind
  } catch (error) {
    return gone.signal.aborted ? 'left' : messageOf(error)
  }
}

test('an honest segment is processed for its price', async () => {
  const info = await offer()
  assert.equal(await send(info, paymentFor(info, 3)), 'data')
  assert.equal(await send(info, paymentFor(info, 0)), 'Insufficient balance', 'less than its fee is left')
})

test('moving digits between the numbers of an offer gets no credit', async () => {
  const info = await offer()
  const params = info.ticketParams!
  for (let bytes = 1; bytes < 24; bytes++) {
    const width = Math.ceil(params.winProb.toString(16).length / 2)
    const kept = BigInt(8 * Math.max(0, width - bytes))
    const ticketParams = {
      ...params,
      faceValue: (params.faceValue << BigInt(8 * bytes)) | (params.winProb >> kept),
      winProb: params.winProb & ((1n << kept) - 1n),
    }
    const payment = payer.pay({ ticketParams, priceInfo: info.priceInfo! }, 3)
    assert.equal(await send(info, payment), 'invalid recipientRand for ticket recipientRandHash')
  }
  assert.equal(await send(info, paymentFor(info, 0)), 'Insufficient balance')
})

test('credit of one ticket does not buy a segment that costs more', async () => {
  const info = await offer()
  const profiles = [{ ...PROFILE, width: 1920, height: 1080 }]
  assert.equal(
    await send(info, paymentFor(info, 1), { durationMs: 300_000, profiles }),
    'Insufficient balance',
  )
  assert.equal(await send(info, paymentFor(info, 2)), 'data', 'the credit is there for what it covers')
})

test('a segment with far more frames than paid for is stopped and not delivered', async () => {
  const info = await offer()
  const answer = await send(info, paymentFor(info, 5), { body: dense, profiles: [ALL_FRAMES] })
  assert.match(answer, /^Segment goes beyond its declared duration/)
})

test('a gateway that disconnects before each answer pays for the work all the same', async () => {
  const info = await offer()
  const tickets = 6
  const fee = encodedPixels([PROFILE], DURATION_MS) * PRICE
  const most = Number((BigInt(tickets) * MARKUP * TICKET_EV) / fee) + 1
  let begun = 0
  let answer = await send(info, paymentFor(info, tickets), { leaves: true })
  for (; answer === 'left' || answer === 'data'; begun++) {
    assert.ok(begun <= most, `${begun} segments were begun for ${tickets} tickets`)
    answer = await send(info, paymentFor(info, 0), { leaves: true })
  }
  assert.equal(answer, 'Insufficient balance')
})

test('a sender that overdraws in one session after another gets no more offers', async () => {
  // Four times the paid frames, which is not enough to stop it.
  const body = await makeSegment({ width: 320, height: 180, fps: 240, durationMs: DURATION_MS, audio: false })
  let refusal = ''
  for (let session = 0; session < 60 && refusal === ''; session++) {
    const info = await offer().catch((error) => {
      refusal = messageOf(error)
      return null
    })
    if (info) await send(info, paymentFor(info, 5), { body, profiles: [ALL_FRAMES] })
    if (!refusal.endsWith('OrchestratorCapped')) continue
    // A slow machine is full for a moment.
    refusal = ''
    await sleep(1_000)
  }
  assert.match(refusal, /^sender 0x\w{40} owes \d+ wei for work beyond what it paid/)
})
