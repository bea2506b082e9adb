import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeErrorResult, parseAbi } from 'viem'
import { isUnknownMethod, revertReason, translateRpcError } from './chain-error.ts'

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

test('an error is an answer only if it is a verdict on the request; the rest is the endpoint’s', () => {
  const cases: [string, { code?: number; message: string; data?: unknown }, string][] = [
    ['eth_call', { code: 3, message: 'execution reverted: no' }, 'reverted'],
    ['eth_call', { code: -32015, message: 'VM execution error.', data: `Reverted ${said}` }, 'reverted'],
    ['eth_estimateGas', { code: -32000, message: 'gas required exceeds allowance (550000000)' }, 'rejected'],
    ['eth_estimateGas', { code: -32000, message: 'intrinsic gas too low' }, 'rejected'],
    ['eth_sendRawTransaction', { code: -32000, message: 'nonce too high' }, 'rejected'],
    ['eth_sendRawTransaction', { code: -32602, message: 'invalid transaction' }, 'rejected'],
    ['eth_getBalance', { code: -32602, message: 'invalid argument 0: hex string has length 2' }, 'rejected'],

    ['eth_call', { code: -32007, message: '15/second request limit reached' }, 'rpc-limited'],
    ['eth_call', { code: -32012, message: 'credits limited to 300/sec' }, 'rpc-limited'],
    ['eth_call', { code: -32005, message: 'daily request count exceeded' }, 'rpc-limited'],
    ['eth_call', { code: 429, message: 'slow down' }, 'rpc-limited'],
    [
      'eth_call',
      { code: -32000, message: 'Your app has exceeded its compute units per second' },
      'rpc-limited',
    ],
    ['eth_getLogs', { code: -32005, message: 'daily request count exceeded, rate limited' }, 'rpc-limited'],

    ['eth_getLogs', { code: -32005, message: 'query returned more than 10000 results' }, 'rpc-refused'],
    ['eth_getLogs', { code: -32602, message: 'eth_getLogs is limited to a 10,000 range' }, 'rpc-refused'],
    ['eth_call', { code: -32000, message: 'missing trie node 7f6e (path ) state 0x' }, 'rpc-refused'],
    ['eth_call', { code: -32000, message: 'header not found' }, 'rpc-refused'],
    ['eth_call', { code: -32602, message: 'unknown block number' }, 'rpc-refused'],
    ['eth_call', { code: -32603, message: 'internal error' }, 'rpc-refused'],
    ['eth_call', { message: '' }, 'rpc-refused'],
    ['eth_blockNumber', { code: 3, message: 'execution reverted', data: said }, 'rpc-refused'],
    ['eth_getTransactionCount', { code: -32000, message: 'nonce too low' }, 'rpc-refused'],
  ]
  for (const [method, body, code] of cases) {
    assert.equal(translateRpcError(method, body).code, code, `${method}: ${body.message}`)
  }
})

test('a method that an endpoint does not know is told from what it refuses now', () => {
  const unknown = [
    { code: -32601, message: 'nope' },
    { code: -32000, message: 'the method eth_maxPriorityFeePerGas does not exist/is not available' },
    { code: -32000, message: 'Unsupported method: eth_feeHistory' },
  ]
  for (const body of unknown) assert.equal(isUnknownMethod(translateRpcError('eth_feeHistory', body)), true)
  assert.equal(
    isUnknownMethod(translateRpcError('eth_call', { code: -32000, message: 'header not found' })),
    false,
  )
  assert.equal(
    isUnknownMethod(translateRpcError('eth_call', { code: 3, message: 'method not found' })),
    false,
  )
})
