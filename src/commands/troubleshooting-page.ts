import type { CauseCode } from '../domain/cause-facts.ts'
import { problems } from '../domain/explain.ts'
import { type ProblemGroup, problemExamples } from './status/problem-examples.ts'

/** What an operator notices, where to look first, and what may be behind it. */
interface Symptom {
  readonly title: string
  readonly first: string
  /** What `livepeer status` concludes from figures. */
  readonly groups: readonly ProblemGroup[]
  /** What a node itself names. */
  readonly causes: readonly CauseCode[]
}

/** Every problem that status or a node names is in exactly one of them; a test checks that. */
export const SYMPTOMS: readonly Symptom[] = [
  {
    title: 'A node does not answer, or is not ready',
    first:
      'Its last line before it ended says why, with the flag to change: `journalctl -u livepeer@NAME`, `docker logs`, or where stderr goes. `livepeer config check FLAGS` tries the flags without starting anything.',
    groups: ['node'],
    causes: ['store-unwritable'],
  },
  {
    title: 'The chain is not followed',
    first:
      '`livepeer status` lists each endpoint with its state, the console how many blocks each is behind (view Chain).',
    groups: ['chain'],
    causes: ['chain-unreachable', 'chain-standing-still'],
  },
  {
    title: 'A stream is not transcoded',
    first:
      'The answer to the publisher begins with `No sessions available`, and names the reasons below it, as the log and `livepeer status` of the gateway do. `livepeer gateway check` asks orchestrators whether they would serve this gateway, and names the number that is missing.',
    groups: ['gateway'],
    causes: [
      ...(['no-deposit', 'no-reserve', 'funds-unlocking', 'deposit-too-small', 'reserve-too-small'] as const),
      ...(['price-above-maximum', 'ticket-ev-above-maximum', 'capability-missing'] as const),
      ...(['no-orchestrators', 'orchestrators-silent', 'orchestrators-suspended'] as const),
      ...(['orchestrators-full', 'orchestrators-busy', 'orchestrators-refuse'] as const),
      ...(['orchestrators-blocked', 'orchestrator-unusable', 'orchestrator-webhook-failing'] as const),
      ...(['streams-full', 'verifier-failing', 'auth-webhook-failing'] as const),
    ],
  },
  {
    title: 'Streams are not saved or recorded',
    first:
      'Live playback goes on meanwhile: players fetch from the gateway. What waits for the store is saved once it answers again.',
    groups: [],
    causes: ['object-store-failing', 'recording-failing', 'recording-lost'],
  },
  {
    title: 'An orchestrator gets no work, or payments are refused',
    first:
      '`livepeer orchestrator status` shows stake, price and address on chain. Gateways call the address on chain: try it from another network.',
    groups: ['orchestrator'],
    causes: [
      ...(['account-not-registered', 'recipient-inactive', 'service-uri-differs'] as const),
      ...(['sender-underfunded', 'sender-unlocking', 'sender-unknown', 'payment-refused'] as const),
      'gateway-webhook-failing',
    ],
  },
  {
    title: 'Winning tickets are not redeemed',
    first:
      '`livepeer tickets list --state waiting` shows them with the reason of each, `livepeer tickets show TICKET` all that became of one. Most wait until their params have expired: 40 L1 blocks after they were offered, about eight minutes.',
    groups: ['tickets'],
    causes: ['no-ether', 'redeemer-away', 'redeemer-refuses', 'orchestrator-refused'],
  },
  {
    title: 'Reward is not called, or the round is not initialised',
    first:
      'WHO REWARDS in `livepeer status` says which node calls it, and when next. `livepeer orchestrator reward` calls it by hand.',
    groups: ['reward'],
    causes: [],
  },
  {
    title: 'Segments fail, or transcoders are missing',
    first:
      '`livepeer status` shows each transcoder with its load. What peers and media workers answer is explained by `livepeer explain TEXT`.',
    groups: ['transcoding'],
    causes: ['not-registered', 'transcoder-refused'],
  },
  {
    title: 'A cluster is not whole',
    first: 'CLUSTER in `livepeer status` of any node lists all of them; [cluster.md](cluster.md) tells more.',
    groups: [],
    causes: [
      ...(['store-away', 'membership-lapsed', 'clock-differs', 'account-in-two-roles'] as const),
      ...(['cluster-address-unreachable', 'sibling-unusable', 'tickets-shown-twice'] as const),
    ],
  },
]

/** The content of docs/troubleshooting.md. */
export function troubleshootingPage(): string {
  return `# Troubleshooting

Written by \`src/commands/write-docs.ts\`, with what \`livepeer status\` and the log say; a test checks that it is current. The
sentences are examples: a node puts its own numbers in.

1. \`livepeer status\` lists what needs attention first, each with what to do; the console shows the same on every view.
2. \`livepeer explain TEXT\` explains a line of the log or a peer's refusal ([all of them](errors.md)).
3. \`livepeer config check FLAGS\` says what a node with these flags would be, and what it lacks.

${SYMPTOMS.map(chapterOf).join('\n')}`
}

function chapterOf({ causes, first, groups, title }: Symptom): string {
  const examples = problemExamples()
  const said = groups.flatMap((group) => examples[group]).map((sentence) => `- ${marked(sentence)}\n`)
  const known = problems()
  const named = causes.map((code) => {
    const { change, means } = known.find(({ name }) => name === code)!
    return `- \`${code}\`: ${marked(means)}: ${marked(change)}\n`
  })
  return [
    `## ${title}\n\n${first}\n`,
    ...(said.length > 0 ? [`\nWhat \`livepeer status\` says:\n\n${said.join('')}`] : []),
    ...(named.length > 0 ? [`\nWhat a node names itself, with its code:\n\n${named.join('')}`] : []),
  ].join('')
}

/** Text whose signs Markdown leaves alone. */
function marked(text: string): string {
  return text.replace(/[<>*_`|]/g, '\\$&')
}
