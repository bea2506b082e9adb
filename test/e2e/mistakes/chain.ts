import type { Mistake } from '../mistake.ts'

const OFFLINE = '-network devnet -ethUrl http://127.0.0.1:1 -ethController {address:x}'
const GATEWAY = '-gateway -httpAddr 127.0.0.1:{port} -ethPassword devnet'

/** Networks, endpoints, contracts and what is paid for transactions. */
export const mistakes: readonly Mistake[] = [
  {
    name: 'a network without an endpoint',
    flags: '-gateway -network arbitrum-one-mainnet',
    ends: 1,
    says: '-network arbitrum-one-mainnet needs -ethUrl, the JSON-RPC endpoint of the chain',
    flag: '-ethUrl',
  },
  {
    name: 'a misspelt network',
    flags: '-gateway -network arbitrum-one-mainet -ethUrl http://127.0.0.1:1',
    ends: 1,
    says: 'no Controller contract is known for -network arbitrum-one-mainet: did you mean arbitrum-one-mainnet?',
    flag: '-network',
  },
  {
    name: 'a network of one’s own without its Controller',
    flags: '-gateway -network devnet -ethUrl http://127.0.0.1:1',
    ends: 1,
    says: 'no Controller contract is known for -network devnet: give -ethController, or one of arbitrum-one-mainnet, mainnet, arbitrum-one-rinkeby, rinkeby',
    flag: '-ethController',
  },
  {
    name: 'an endpoint that is no URL and may be a key',
    flags: '-gateway -network arbitrum-one-mainnet -ethUrl http://127.0.0.1:1,swordfish',
    ends: 1,
    says: 'entry 2 of -ethUrl is neither an http, https, ws or wss URL nor the path of an IPC socket',
    flag: '-ethUrl',
  },
  {
    name: 'a Controller that is no address',
    flags: '-gateway -network devnet -ethUrl http://127.0.0.1:1 -ethController controller',
    ends: 1,
    says: '-ethController: "controller" is not an address: 40 hexadecimal digits',
    flag: '-ethController',
  },
  {
    name: 'a Controller without a contract',
    flags: `${GATEWAY} -network devnet -ethUrl {rpc} -ethController {address:x}`,
    keys: ['gateway'],
    ends: 1,
    says: 'no contract code at given address: the Controller is said to be at {address:x}; check -ethController and -network',
    flag: '-ethController',
  },
  {
    name: 'an endpoint of another chain',
    flags: `${GATEWAY} -network arbitrum-one-mainnet -ethUrl {rpc}`,
    keys: ['gateway'],
    ends: 1,
    says: /^no usable RPC endpoint in -ethUrl: .* serves chain 54321, this node is on chain 42161$/,
    flag: '-ethUrl',
  },
  {
    name: 'a maximum gas price below the minimum',
    flags: '-gateway -network mainnet -ethUrl http://127.0.0.1:1 -maxGasPrice 5',
    ends: 1,
    says: '-maxGasPrice 5 is below the minimum gas price of 1000000000, so no transaction could be sent: raise -maxGasPrice or lower -minGasPrice',
    flag: '-maxGasPrice',
  },
  {
    name: 'a poll of the chain without a pause',
    flags: `-gateway ${OFFLINE} -blockPollingInterval 0`,
    ends: 1,
    says: '-blockPollingInterval must be between 1s and 596h, not 0s',
    flag: '-blockPollingInterval',
  },
  {
    name: 'a transaction that nobody waits for',
    flags: `-gateway ${OFFLINE} -transactionTimeout 0`,
    ends: 1,
    says: '-transactionTimeout must be between 1ms and 596h, not 0ms',
    flag: '-transactionTimeout',
  },
  {
    name: 'a maximum price in words',
    flags: `-gateway ${OFFLINE} -maxPricePerUnit cheap`,
    ends: 1,
    says: '-maxPricePerUnit: "cheap" is not a price: write a number of at least 0, and after it a currency if it is not wei, such as 0.5USD',
    flag: '-maxPricePerUnit',
  },
  {
    name: 'an endpoint that does not answer',
    flags: `${GATEWAY} ${OFFLINE}`,
    keys: ['gateway'],
    ends: 'runs',
    says: /WARN .*chain not reachable yet/,
    flag: null,
  },
  {
    name: 'data of another chain',
    flags: `-reward -ethPassword devnet {chain}`,
    keys: ['orchestrator'],
    prepare: async ({ folder }) => {
      const { Store } = await import('../../../src/io/store/store.ts')
      const store = new Store({ location: `${folder}/data/livepeer-ts.sqlite3` })
      await store.open()
      await store.bindChain(42161n)
      await store.close()
      return true
    },
    ends: 1,
    says: /^expecting chainID of 42161, but got 54321: the data in .* belongs to another chain: give this node its own -dataDir$/,
    flag: '-dataDir',
  },
]
