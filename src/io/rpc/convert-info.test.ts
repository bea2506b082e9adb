import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, fromBinary } from '@bufbuild/protobuf'
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import { concatBytes, parseHex } from '../../lib/bytes.ts'
import { addressBytes, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { readInfo, writeInfo } from './convert-info.ts'
import { readSegment } from './convert-segment.ts'
import * as wire from './gen/lp_rpc_pb.ts'

const KEY_ONE = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'

test('without a chain an orchestrator sends 20 zero bytes as its address, because none would count as blocked', () => {
  const [call] = recorded.getOrchestrator
  const info = readInfo(fromBinary(wire.OrchestratorInfoSchema, parseHex(call!.responses[0]!)))
  const written = create(wire.OrchestratorInfoSchema, writeInfo({ ...info, address: ZERO_ADDRESS }))
  assert.deepEqual(written.address, new Uint8Array(20))
})

test('zeros are absent on the wire and read as zeros', () => {
  const info = readInfo(create(wire.OrchestratorInfoSchema, { ticketParams: {} }))
  assert.equal(info.address, ZERO_ADDRESS)
  assert.deepEqual(info.ticketParams, {
    recipient: ZERO_ADDRESS,
    faceValue: 0n,
    winProb: 0n,
    recipientRandHash: new Uint8Array(32),
    seed: 0n,
    expirationBlock: 0n,
    expirationParams: { creationRound: 0n, creationRoundBlockHash: new Uint8Array(32) },
  })
  const params = create(wire.OrchestratorInfoSchema, writeInfo(info)).ticketParams
  assert.equal(params?.faceValue.length, 0)
  assert.equal(params?.seed.length, 0)
  assert.equal(readSegment(create(wire.SegDataSchema)).durationMs, 2000)
})

test('addresses and hashes of other lengths are padded on the left or keep their last bytes', () => {
  const read = (address: Uint8Array) => readInfo(create(wire.OrchestratorInfoSchema, { address })).address
  assert.equal(read(Uint8Array.of(5)), '0x0000000000000000000000000000000000000005')
  assert.equal(read(concatBytes(Uint8Array.of(9, 9), addressBytes(KEY_ONE))), KEY_ONE)
})
