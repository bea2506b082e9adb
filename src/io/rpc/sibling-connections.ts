import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2'
import { isIP } from 'node:net'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { Member } from '../../domain/member.ts'
import { SiblingError } from '../../domain/sibling-call.ts'
import { messageOf } from '../../lib/errors.ts'
import { openSession } from './peer-exchange.ts'

const CONNECT_MS = 1_500
/** Streams on one connection before another one is opened, and connections to one sibling. */
const MAX_STREAMS = 100
const MAX_CONNECTIONS = 8

/** A connection with open requests is pinged this often, and closed after this many pings without an answer. */
const PULSE_MS = 1_000
const MAX_UNANSWERED = 3

/** Where a sibling is, and what shows that it is that one. */
export type SiblingAddress = Pick<Member, 'node' | 'instance' | 'address' | 'fingerprint'>

interface Link {
  readonly opened: Promise<ClientHttp2Session>
  session: ClientHttp2Session | null
  streams: number
  /** No more streams begin on it: it is closed, or its node said so. */
  isLeaving: boolean
}

/**
 * HTTP/2 connections to the other nodes of a cluster. A sibling is authenticated by the fingerprint of its certificate:
 * nothing is sent to a host with another one.
 */
export class SiblingConnections {
  /** By node, process, address and certificate. */
  readonly #links = new Map<string, Set<Link>>()
  #isClosed = false

  /** Begins a request on a connection to a sibling. Throws SiblingError `sibling-unreachable`. */
  async request(
    sibling: SiblingAddress,
    headers: OutgoingHttpHeaders,
    endStream: boolean,
  ): Promise<ClientHttp2Stream> {
    // A connection may turn out to be closed once it is used; a new one is not.
    for (let attempt = 0; ; attempt++) {
      const link = this.#link(sibling)
      const session = await link.opened
      try {
        const stream = session.request({ ':authority': sibling.address, ...headers }, { endStream })
        link.streams++
        stream.once('close', () => {
          link.streams--
          if (link.isLeaving && link.streams === 0) session.close()
        })
        return stream
      } catch (error) {
        link.isLeaving = true
        if (attempt > 0) throw unreachable(sibling, messageOf(error))
      }
    }
  }

  /** Calls a node over a connection of its own, which is closed by the caller. Throws SiblingError `sibling-unreachable`. */
  connect(sibling: SiblingAddress): Promise<ClientHttp2Session> {
    return connectTo(sibling)
  }

  /** Closes all connections. */
  close(): void {
    this.#isClosed = true
    for (const links of this.#links.values()) {
      for (const { opened } of links) opened.then((session) => session.destroy()).catch(() => {})
    }
    this.#links.clear()
  }

  #link(sibling: SiblingAddress): Link {
    if (this.#isClosed) throw unreachable(sibling, 'this node is stopping')
    const { address, fingerprint, instance, node } = sibling
    const key = [node, instance, address, fingerprint].join(' ')
    if (!this.#links.has(key)) this.#retire(node)
    const links = this.#links.get(key) ?? new Set()
    this.#links.set(key, links)
    const usable = [...links].filter(({ isLeaving }) => !isLeaving)
    const [quietest] = usable.sort((a, b) => a.streams - b.streams)
    if (quietest && (quietest.streams < MAX_STREAMS || usable.length >= MAX_CONNECTIONS)) return quietest
    return this.#open(sibling, key, links)
  }

  /** Closes what leads to an earlier process of a node, once its requests are done. */
  #retire(node: string): void {
    for (const [key, links] of this.#links) {
      if (!key.startsWith(`${node} `)) continue
      this.#links.delete(key)
      for (const link of links) {
        link.isLeaving = true
        if (link.streams === 0) link.opened.then((session) => session.close()).catch(() => {})
      }
    }
  }

  #open(sibling: SiblingAddress, key: string, links: Set<Link>): Link {
    const forget = () => {
      link.isLeaving = true
      links.delete(link)
      if (links.size === 0 && this.#links.get(key) === links) this.#links.delete(key)
    }
    const opened = connectTo(sibling).then((session) => {
      link.session = session
      session.once('close', forget)
      session.once('goaway', () => {
        link.isLeaving = true
      })
      // An unused connection does not keep the process alive.
      session.unref()
      watch(link, session)
      if (this.#isClosed) session.destroy()
      return session
    })
    const link: Link = { opened, session: null, streams: 0, isLeaving: false }
    opened.catch(forget)
    links.add(link)
    return link
  }
}

/** Ends a connection whose sibling is frozen, or cut off without a word, so that its requests can go to another one. */
function watch(link: Link, session: ClientHttp2Session): void {
  let unanswered = 0
  const timer = setInterval(() => {
    if (session.destroyed) return
    if (link.streams === 0) unanswered = 0
    else if (unanswered === MAX_UNANSWERED) session.destroy()
    else {
      unanswered++
      session.ping((error) => {
        if (!error) unanswered = 0
      })
    }
  }, PULSE_MS)
  timer.unref()
  session.once('close', () => clearInterval(timer))
}

async function connectTo(sibling: SiblingAddress): Promise<ClientHttp2Session> {
  const url = URL.parse(`https://${sibling.address}`)
  if (!url) throw unreachable(sibling, 'its address cannot be read')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
  const socket = tlsConnect({
    ...{ host, port: Number(url.port || 443), noDelay: true, ALPNProtocols: ['h2'] },
    ...(isIP(host) === 0 && { servername: host }),
    // The fingerprint says more than any authority.
    rejectUnauthorized: false,
  })
  const timer = setTimeout(() => reject(new Error(`no connection within ${CONNECT_MS} ms`)), CONNECT_MS)
  socket.once('error', reject)
  socket.once('close', () => reject(new Error('the connection was closed')))
  socket.once('secureConnect', () => resolve(socket))
  try {
    await promise
    if (socket.getPeerX509Certificate()?.fingerprint256 !== sibling.fingerprint) {
      throw new Error('another certificate than that of the node answers there')
    }
    if (socket.alpnProtocol !== 'h2') throw new Error('what answers there does not speak HTTP/2')
  } catch (error) {
    socket.destroy()
    throw unreachable(sibling, messageOf(error))
  } finally {
    clearTimeout(timer)
  }
  socket.on('error', () => {})
  return openSession(url, socket)
}

function unreachable({ address }: SiblingAddress, why: string): SiblingError {
  return new SiblingError('sibling-unreachable', `cannot call ${address}: ${why}`)
}
