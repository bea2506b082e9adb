/** `npm run bench -- NAME`: each bench prints text and, as its last line, one JSON object. */

const benches: Readonly<Record<string, { about: string; run: () => Promise<unknown> }>> = {
  tickets: {
    about: 'how many tickets one core validates per second, compared with bare signature recoveries',
    run: () => import('./tickets.ts'),
  },
  overhead: {
    about:
      'what gateway and orchestrator add to the time of a transcode, with payments, for 1, 10 and 100 streams',
    run: () => import('./overhead.ts'),
  },
  redeem: {
    about:
      'how many winning tickets a redeemer redeems per block, and for how much gas, alone and in batches',
    run: () => import('./redeem.ts'),
  },
  rpc: {
    about: 'how many RPC requests a redeemer sends when idle, per ticket, and with a limit of 15 per second',
    run: () => import('./rpc.ts'),
  },
  transcode: {
    about: 'how fast the engine transcodes compared with FFmpeg’s command line (ROUNDS=3; needs ffmpeg)',
    run: () => import('./transcode.ts'),
  },
  'max-float': {
    about: 'how soon 50 orchestrators learn of a change in one of 200 senders’ funds',
    run: () => import('./max-float.ts'),
  },
  cluster: {
    about:
      'what a shared store on PostgreSQL costs a payment and a segment, beside a node’s own SQLite, and how soon another redeemer leads',
    run: () => import('./cluster.ts'),
  },
  scale: {
    about:
      'what a segment and a session cost an orchestrator with 1, 10, 100 and 1,000 sessions, on both stores',
    run: () => import('./scale.ts'),
  },
  gateway: {
    about: 'what a stream costs a gateway, pushed and over RTMP, with 1, 40 and 200 of them',
    run: () => import('./gateway.ts'),
  },
}

const name = process.argv[2] ?? ''
const bench = Object.hasOwn(benches, name) ? benches[name] : undefined
if (bench) await bench.run()
else {
  const list = Object.entries(benches).map(([known, { about }]) => `${known} (${about})`)
  console.error(`${name === '' ? 'Say which bench' : `There is no bench "${name}"`}: ${list.join('; ')}.`)
  process.exitCode = 1
}
