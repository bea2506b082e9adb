import type { Command, CommandOption } from './commands.ts'

const NODE: readonly CommandOption[] = [
  {
    name: 'node',
    value: 'HOST:PORT',
    about:
      'the control API of the node, its -cliAddr; a port alone is on this machine; by default the one node that answers at the usual ports',
  },
  {
    name: 'token',
    value: 'TEXT|FILE',
    about: 'the -cliToken of the node, or a file with it (environment: LP_CLITOKEN)',
  },
  { name: 'json', about: 'print one JSON object' },
]

const SENDING: readonly CommandOption[] = [
  { name: 'dry-run', about: 'simulate it on the chain and say what would be sent; send nothing' },
  { name: 'yes', about: 'send without asking' },
  {
    name: 'unsigned',
    value: 'FILE',
    about:
      'write the transactions into a new file, for a key that is kept offline: livepeer tx sign signs them there; send nothing',
  },
  {
    name: 'from',
    value: 'ADDRESS',
    about:
      'with --unsigned or --dry-run: the account that is to send, if it is not the orchestrator that the node works for',
  },
  ...NODE,
]

const TERMS: readonly CommandOption[] = [
  { name: 'reward-cut', value: 'PERCENT', about: 'what the orchestrator keeps of its rewards' },
  { name: 'fee-cut', value: 'PERCENT', about: 'what it keeps of its fees; the rest is given away' },
  { name: 'uri', value: 'URL', about: 'where gateways reach it: https://HOST:PORT' },
  { name: 'price', value: 'PRICE', about: 'what it asks: 1200wei, 0.5USD; wei if it has no currency' },
  { name: 'pixels', value: 'N', about: 'the pixels that this is the price of; 1 by default' },
]

const PERSIST: CommandOption = { name: 'persist', about: 'keep it over a restart of the node' }

const CONTRACT: CommandOption = {
  name: 'contract',
  value: 'NAME=ADDRESS',
  isList: true,
  about: 'a contract that is not one of those on Arbitrum One, such as Poll=0x…; repeatable',
}

const CHECKS: readonly CommandOption[] = [
  { name: 'chain-id', value: 'N', about: 'the chain that is meant; 42161, Arbitrum One, by default' },
  CONTRACT,
  { name: 'max-cost', value: 'AMOUNT', about: 'the most that the gas of all may cost; 0.1ETH by default' },
  { name: 'yes', about: 'go on without asking' },
  { name: 'json', about: 'print one JSON object' },
]

/** The commands that act with a node’s account, or prepare that for an account whose key is kept offline. */
export const OPERATE_COMMANDS: readonly Command[] = [
  {
    name: 'orchestrator register',
    takes: 'OPTIONS',
    about: 'makes the account an orchestrator',
    more: 'Bonds LPT to the account itself, sets its cuts, registers its address and sets the price. What failed half-way goes on with the same command.',
    options: [
      { name: 'bond', value: 'AMOUNT', about: 'how much to bond: 1000LPT' },
      { name: 'lock', value: 'N', about: 'a lock of unbonded LPT to bond again' },
      ...TERMS,
      ...SENDING,
    ],
  },
  {
    name: 'orchestrator set',
    takes: 'OPTIONS',
    about: 'changes cuts, address or price of the orchestrator',
    more: 'Only what is given is changed.',
    options: [...TERMS, PERSIST, ...SENDING],
  },
  {
    name: 'orchestrator bond',
    takes: 'AMOUNT',
    about: 'bonds LPT of the account',
    more: 'What is bonded already stays bonded, or moves with it and costs nothing.',
    options: [
      { name: 'to', value: 'ADDRESS', about: 'the orchestrator to bond to; by default the account itself' },
      ...SENDING,
    ],
  },
  {
    name: 'orchestrator unbond',
    takes: 'AMOUNT|all',
    about: 'unbonds stake, which can be withdrawn some rounds later',
    more: 'all is the whole stake with the rewards that are not claimed yet.',
    options: SENDING,
  },
  {
    name: 'orchestrator rebond',
    takes: 'LOCK',
    about: 'bonds again what was unbonded',
    more: 'LOCK is the number of the lock: livepeer orchestrator status lists them.',
    options: [
      {
        name: 'to',
        value: 'ADDRESS',
        about: 'the orchestrator to bond to, where the account has nothing bonded',
      },
      ...SENDING,
    ],
  },
  {
    name: 'orchestrator withdraw-stake',
    takes: 'LOCK',
    about: 'takes unbonded LPT into the account',
    more: 'LOCK is the number of the lock: livepeer orchestrator status lists them, and the round from which each can be withdrawn.',
    options: SENDING,
  },
  {
    name: 'orchestrator withdraw-fees',
    takes: 'AMOUNT|all',
    about: 'takes earned fees into the account',
    options: SENDING,
  },
  {
    name: 'orchestrator transfer',
    takes: 'AMOUNT ADDRESS',
    about: 'sends LPT of the account',
    options: SENDING,
  },
  { name: 'orchestrator reward', takes: '', about: 'calls reward for this round', options: SENDING },
  {
    name: 'orchestrator status',
    takes: '',
    about: 'shows stake, terms, earnings and locks of the orchestrator',
    options: NODE,
  },
  {
    name: 'gateway fund',
    takes: 'OPTIONS',
    about: 'adds to the deposit and the reserve that pay for streams',
    options: [
      { name: 'deposit', value: 'AMOUNT', about: 'how much to add to the deposit: 0.2ETH' },
      { name: 'reserve', value: 'AMOUNT', about: 'how much to add to the reserve: 0.1ETH' },
      ...SENDING,
    ],
  },
  {
    name: 'gateway unlock',
    takes: '',
    about: 'unlocks deposit and reserve, to withdraw them some rounds later',
    options: SENDING,
  },
  { name: 'gateway cancel-unlock', takes: '', about: 'locks deposit and reserve again', options: SENDING },
  {
    name: 'gateway withdraw',
    takes: '',
    about: 'takes unlocked deposit and reserve into the account',
    options: SENDING,
  },
  {
    name: 'gateway check',
    takes: '',
    about: 'asks orchestrators whether they would serve this gateway',
    more: 'With its present terms, deposit and reserve; where they would not, the number that is missing is named. The exit code is 1 where none would.',
    options: NODE,
  },
  {
    name: 'vote',
    takes: 'PROPOSAL for|against|abstain',
    about: 'votes on a proposal about the treasury',
    options: [{ name: 'reason', value: 'TEXT', about: 'why, for everybody to read' }, ...SENDING],
  },
  { name: 'poll', takes: 'ADDRESS yes|no', about: 'votes in a poll', options: SENDING },
  {
    name: 'tx sign',
    takes: 'FILE',
    about: 'signs transactions that --unsigned wrote, on a machine without a network',
    more: 'Decodes each one itself, shows in words what is signed and asks; what it does not understand it does not sign. Only the keystore is read, and nothing is asked of any network.',
    options: [
      { name: 'ethKeystorePath', value: 'PATH', about: 'the keystore, a folder or a key file' },
      {
        name: 'ethPassword',
        value: 'TEXT|FILE',
        about:
          'the password, or a file with it (environment: LP_ETHPASSWORD); asked for where it is not given',
      },
      { name: 'out', value: 'FILE', about: 'the new file for what is signed; FILE.signed by default' },
      ...CHECKS,
    ],
  },
  {
    name: 'tx send',
    takes: 'FILE',
    about: 'sends transactions that livepeer tx sign signed, and follows them until they are mined',
    more: 'Checks them as livepeer tx sign does. What was sent before is not sent again, so that the command can be repeated.',
    options: [
      { name: 'ethUrl', value: 'URL|FILE', about: 'send to this endpoint of the chain, not through a node' },
      ...CHECKS,
      ...NODE.filter(({ name }) => name !== 'json'),
    ],
  },
  { name: 'round init', takes: '', about: 'initialises the current round', options: SENDING },
  {
    name: 'price show',
    takes: '',
    about: 'shows what an orchestrator asks, or the most that a gateway pays',
    options: NODE,
  },
  {
    name: 'price set',
    takes: 'PRICE',
    about: 'sets what an orchestrator asks, or the most that a gateway pays',
    more: 'PRICE is an amount with its currency, 1200wei or 0.5USD; wei if it has none; of a gateway also none, for no limit.',
    options: [
      { name: 'pixels', value: 'N', about: 'the pixels that this is the price of; 1 by default' },
      {
        name: 'gateway',
        value: 'ADDRESS',
        about: 'the one gateway that is asked this; by default all others',
      },
      PERSIST,
      ...NODE,
    ],
  },
]

/** The first words of these commands. */
export const OPERATE_WORDS: ReadonlySet<string> = new Set(
  OPERATE_COMMANDS.map(({ name }) => name.split(' ')[0]!),
)
