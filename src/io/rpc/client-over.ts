import type { ClientHttp2Session } from 'node:http2'
import type { DescService } from '@bufbuild/protobuf'
import { type Client, createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { MAX_MESSAGE_BYTES } from './wire-message.ts'

/** Provides connections to a peer. */
export type SessionManager = NonNullable<Parameters<typeof createGrpcTransport>[0]['sessionManager']>

/** A gRPC client for a peer's service with this node's limits; the manager provides the connection for each call. */
export function clientThrough<Service extends DescService>(
  service: Service,
  sessionManager: SessionManager,
  url: URL,
): Client<Service> {
  // Node would write an IPv6 address without brackets, which servers refuse.
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

/** A gRPC client for a peer's service over an open connection, which the caller keeps. */
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
