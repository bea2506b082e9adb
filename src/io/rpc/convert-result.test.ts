import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import recorded from '../../../test/vectors/wire.json' with { type: 'json' }
import { parseHex } from '../../lib/bytes.ts'
import { readInfo } from './convert-info.ts'
import { decodePaymentResult, encodePaymentResult } from './convert-result.ts'
import * as wire from './gen/lp_rpc_pb.ts'

test('a payment result contains only the info', () => {
  const [call] = recorded.getOrchestrator
  const info = readInfo(fromBinary(wire.OrchestratorInfoSchema, parseHex(call!.responses[0]!)))
  assert.deepEqual(decodePaymentResult(encodePaymentResult(info)), info)
  assert.equal(decodePaymentResult(new Uint8Array(0)), null)
})
