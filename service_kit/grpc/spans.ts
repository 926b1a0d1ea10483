import { status } from '@grpc/grpc-js';
import type { Span, SpanOptions } from '../tracing.js';

/** What a span of a call is told (https://opentelemetry.io/docs/specs/semconv/rpc/grpc/). */
export function rpcSpan(path: string, kind: SpanOptions['kind']): SpanOptions {
  const name = path.slice(1);
  const [service = '', method = ''] = name.split('/');
  return {
    name,
    kind,
    attributes: { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method },
  };
}

/** Of these a server says that they are its own fault; to a client, all but OK are failures. */
const serverFaults = new Set<status>([
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

/** Tells a span how its call ended. */
export function setStatus(span: Span, kind: 'server' | 'client', code: status): void {
  span.set({ 'rpc.grpc.status_code': code });
  if (kind === 'server' ? serverFaults.has(code) : code !== status.OK) span.fail(status[code]);
}
