import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { json } from 'node:stream/consumers';
import { expect } from 'vitest';
import { z } from 'zod';

/** What is asked of OTLP as JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). */
const attributes = z
  .array(
    z.object({
      key: z.string(),
      value: z.object({ stringValue: z.string().optional(), intValue: z.coerce.number().optional() }),
    }),
  )
  .transform((list) =>
    Object.fromEntries(list.map(({ key, value }) => [key, value.stringValue ?? value.intValue])),
  );
const exported = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              traceId: z.string().regex(/^[0-9a-f]{32}$/),
              spanId: z.string().regex(/^[0-9a-f]{16}$/),
              parentSpanId: z.string().optional(),
              name: z.string(),
              kind: z.number(),
              attributes,
              status: z.object({ code: z.number().optional(), message: z.string().optional() }),
            }),
          ),
        }),
      ),
    }),
  ),
});

type Exported = z.output<typeof exported>['resourceSpans'][number];

/** A span as it arrived, and which process it is from. */
export type CollectedSpan = Exported['scopeSpans'][number]['spans'][number] & { service: string };

/** Takes spans by OTLP over HTTP, as a collector does. */
export class TraceCollector {
  readonly spans: CollectedSpan[] = [];
  /** Everything that came, as text. */
  received = '';

  private constructor(private readonly server: Server) {}

  static async start(): Promise<TraceCollector> {
    const server = createServer((request, response) => {
      void collector
        .#receive(request)
        .then(() => response.setHeader('Content-Type', 'application/json').end('{}'));
    });
    const collector = new TraceCollector(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return collector;
  }

  /** What has a process hand its spans over to here, each soon after its end. */
  get environment(): Record<string, string> {
    const address = this.server.address();
    if (typeof address !== 'object' || address === null) throw new Error('The collector does not listen');
    return {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${address.port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    };
  }

  /**
   * What was done of a trace below the span of its caller, as text: a line for each span, indented below the one that it belongs
   * to, the spans of one in the order of the text. Attempts that failed are left out: there may be any number.
   */
  outlineOf(traceparent: string): string {
    const [, traceId, caller = ''] = traceparent.split('-');
    const spans = this.spans.filter((span) => span.traceId === traceId && span.status.code !== FAILED);
    const below = (parent: string): string[] =>
      spans
        .filter((span) => span.parentSpanId === parent)
        .map((span) => [describeSpan(span), ...below(span.spanId).map(indent)].join('\n'))
        .toSorted();
    return below(caller).join('\n');
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  async #receive(request: IncomingMessage): Promise<void> {
    const body = await json(request);
    this.received += JSON.stringify(body);
    for (const { resource, scopeSpans } of exported.parse(body).resourceSpans) {
      const service = String(resource.attributes['service.name']);
      for (const { spans } of scopeSpans) this.spans.push(...spans.map((span) => ({ ...span, service })));
    }
  }
}

/** As OTLP numbers them. */
const kinds = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];
const FAILED = 2;

function describeSpan({ service, name, kind }: CollectedSpan): string {
  return `${kinds[kind]} ${name} (${service})`;
}

function indent(lines: string): string {
  return lines.replace(/^/gm, '  ');
}

/** Makes the `traceparent` of a caller who traces. */
export function newTraceparent(): string {
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;
}

/** Waits until a trace is the one that is expected, as {@link TraceCollector.outlineOf} tells it. */
export async function expectTrace(
  collector: TraceCollector,
  traceparent: string,
  outline: readonly string[],
): Promise<void> {
  const expected = outline.join('\n');
  await expect.poll(() => collector.outlineOf(traceparent), { timeout: 20_000 }).toBe(expected);
}
