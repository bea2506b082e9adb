import assert from 'node:assert/strict'
import { connect as http2Connect } from 'node:http2'
import { test } from 'node:test'
import { connect as tlsConnect } from 'node:tls'
import { create, toBinary } from '@bufbuild/protobuf'
import { writeInfoRequest } from '../../src/io/rpc/convert-info.ts'
import { OrchestratorRequestSchema } from '../../src/io/rpc/gen/lp_rpc_pb.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { type Address, addressOfKey } from '../../src/lib/crypto.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { Senders } from '../../src/services/protocol/senders.ts'
import { FakeChain } from '../fakes/chain.ts'
import { countAnswers, grpcFrame } from '../net/grpc.ts'
import { startVictim, tokenOf, type Victim } from './victim.ts'

const CLAIMANT = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const someAddress = (): Address => addressOfKey(systemDice.bytes(32))

/** An orchestrator that reads its senders' funds from a chain that counts reads. */
async function startOnChain() {
  const chain = new FakeChain()
  const supervisor = new Supervisor()
  const env = { chain, watch: chain, clock: systemClock, log: silentLog }
  const rounds = new Rounds(env)
  const senders = new Senders({ claimant: CLAIMANT }, { ...env, rounds })
  await supervisor.start(rounds)
  await supervisor.start(senders)
  const quote = async (sender: Address) => {
    if ((await senders.maxFloat(sender)) === 0n)
      throw new NodeError('no-funds', 'insufficient sender reserve')
    return { ticketParams: null, priceInfo: null }
  }
  const victim = await startVictim({ lookups: senders, recipient: { quote } })
  const fund = (sender: Address) => chain.setSender(sender, { deposit: 5n, fundsRemaining: 1_000_000n })
  const stop = async () => {
    await victim[Symbol.asyncDispose]()
    await supervisor.stop()
  }
  const nextRound = () => {
    for (let block = 0; block < 50; block++) chain.mine()
  }
  return { victim, fund, nextRound, reads: () => chain.senderReads, [Symbol.asyncDispose]: stop }
}

/** Requests offers for many senders over one connection from another host; returns the outcomes. */
async function askFor(victim: Victim, senders: readonly Address[]): Promise<Map<string, number>> {
  const socket = tlsConnect({
    ...{ port: victim.port, host: '127.0.0.1', localAddress: '127.0.0.2' },
    ...{ ALPNProtocols: ['h2'], rejectUnauthorized: false },
  })
  const session = http2Connect('https://127.0.0.1', { createConnection: () => socket })
  session.on('error', () => {})
  const answers = new Map<string, number>()
  const ask = (address: Address) => {
    const request = { address, sig: new Uint8Array(0), capabilities: null, ignoreCapacityCheck: false }
    const message = create(OrchestratorRequestSchema, writeInfoRequest(request))
    const stream = session.request({
      ...{ ':method': 'POST', ':path': '/net.Orchestrator/GetOrchestrator' },
      ...{ 'content-type': 'application/grpc', te: 'trailers' },
    })
    const body = grpcFrame(toBinary(OrchestratorRequestSchema, message))
    return countAnswers(stream, body, { counts: answers, field: 'grpc-message' })
  }
  await Promise.all(senders.map(ask))
  session.destroy()
  return answers
}

test('invented senders use a limited part of the chain reads, and honest ones are served meanwhile', async () => {
  await using world = await startOnChain()
  const [known, newcomer] = [someAddress(), someAddress()]
  for (const sender of [known, newcomer]) world.fund(sender)
  assert.ok(await tokenOf(world.victim, known))
  const answers = await askFor(world.victim, Array.from({ length: 200 }, someAddress))
  assert.ok([...answers.keys()].some((text) => /too many unknown senders: try again later$/.test(text)))
  assert.ok(world.reads() <= 40, `${world.reads()} reads`)
  assert.ok(await tokenOf(world.victim, known))
  assert.ok(await tokenOf(world.victim, newcomer), 'another host has look-ups left')
})

test('senders without funds are remembered over rounds: each costs one read, however often it asks', async () => {
  await using world = await startOnChain()
  const few = Array.from({ length: 10 }, someAddress)
  for (let i = 0; i < 5; i++) {
    await askFor(world.victim, few)
    world.nextRound()
  }
  assert.ok(world.reads() <= 10, `${world.reads()} reads`)
})
