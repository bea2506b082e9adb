import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeErrorResult, parseAbi } from 'viem'
import { revertReason, translateRpcError } from './chain-error.ts'

const STANDARD = parseAbi(['error Error(string)', 'error Panic(uint256)'])
const said = encodeErrorResult({ abi: STANDARD, errorName: 'Error', args: ['ticket is used'] })
const panic = encodeErrorResult({ abi: STANDARD, errorName: 'Panic', args: [0x11n] })

test('a revert keeps the contract’s own reason, wherever the endpoint puts it', () => {
  const cases: [object, string][] = [
    [{ code: 3, message: 'execution reverted: ticket is used', data: said }, 'ticket is used'],
    [{ code: 3, message: 'execution reverted', data: said }, 'ticket is used'],
    [{ code: -32000, message: 'Reverted', data: { data: said } }, 'ticket is used'],
    [{ code: -32000, message: 'execution reverted: ticket is used' }, 'ticket is used'],
    [{ code: -32603, message: "VM: reverted with reason string 'x'" }, "'x'"],
    [{ code: 3, message: 'execution reverted', data: panic }, 'Panic(0x11)'],
    [{ code: 3, message: 'execution reverted', data: '0x' }, 'execution reverted'],
    [{ code: 3, message: 'execution reverted', data: '0x12345678' }, 'execution reverted'],
    [{ code: 3, message: '' }, 'without a reason'],
  ]
  for (const [body, reason] of cases) {
    const error = translateRpcError('eth_call', body as { message: string })
    assert.equal(error.code, 'reverted')
    assert.equal(revertReason(error), reason)
  }
})

test('what nodes and providers say about transactions becomes one code each', () => {
  const cases: [string, string][] = [
    ['nonce too low', 'nonce-too-low'],
    ['nonce too low: next nonce 5, tx nonce 4', 'nonce-too-low'],
    ['replacement transaction underpriced', 'replacement-underpriced'],
    ['already known', 'already-known'],
    ['transaction already imported', 'already-known'],
    ['insufficient funds for gas * price + value', 'insufficient-funds'],
    ['Insufficient funds for gas * price + value', 'insufficient-funds'],
    ['max fee per gas less than block base fee: address 0x', 'fee-too-low'],
    ['transaction underpriced', 'fee-too-low'],
    ['something else', 'rpc-refused'],
  ]
  for (const [message, code] of cases) {
    const error = translateRpcError('eth_sendRawTransaction', { code: -32000, message })
    assert.equal(error.code, code, message)
    assert.equal(revertReason(error), null)
    assert.ok(error.message.includes(message))
  }
})
