import type { ClientHttp2Session } from 'node:http2'
import type { DescService } from '@bufbuild/protobuf'
import { type Client, createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { MAX_MESSAGE_BYTES } from './wire-message.ts'

/** Hands out connections to a peer. */
export type SessionManager = NonNullable<Parameters<typeof createGrpcTransport>[0]['sessionManager']>

/** A gRPC client of a peer's service, within our limits; the manager says over which connection each call goes. */
export function clientThrough<Service extends DescService>(
  service: Service,
  sessionManager: SessionManager,
  url: URL,
): Client<Service> {
  // Node would write an IPv6 address without its brackets, and servers would refuse it.
  const named: SessionManager = {
    authority: sessionManager.authority,
    request: (method, path, headers, options) =>
      sessionManager.request(method, path, { ...headers, ':authority': url.host }, options),
    notifyResponseByteRead: (stream) => sessionManager.notifyResponseByteRead(stream),
  }
  const transport = createGrpcTransport({
    baseUrl: url.origin,
    acceptCompression: [],
    readMaxBytes: MAX_MESSAGE_BYTES,
    binaryOptions: { readUnknownFields: false },
    sessionManager: named,
  })
  return createClient(service, transport)
}

/** A gRPC client of a peer's service over a connection that is open already and stays the caller's. */
export function clientOver<Service extends DescService>(
  service: Service,
  session: ClientHttp2Session,
  url: URL,
): Client<Service> {
  const manager: SessionManager = {
    authority: url.origin,
    request: async (method, path, headers, options) =>
      session.request({ ...headers, ':method': method, ':path': path }, options),
    notifyResponseByteRead: () => {},
  }
  return clientThrough(service, manager, url)
}
