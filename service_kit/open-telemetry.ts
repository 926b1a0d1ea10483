import { tracingChannel } from 'node:diagnostics_channel';
import {
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span as OtelSpan,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider, type SpanExporter } from '@opentelemetry/sdk-trace-node';
import { z } from 'zod';
import { ServiceError } from './errors.js';
import type { Span, SpanOptions, Tracing } from './tracing.js';

const kinds = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/** Loads the SDK, and has it hand spans over by OTLP. See {@link Tracing}. */
export async function createTracing(name: string, protocol: 'http/protobuf' | 'http/json'): Promise<Tracing> {
  const { OTLPTraceExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OpenTelemetry(name, new OTLPTraceExporter());
}

class OpenTelemetry implements Tracing {
  readonly #provider: NodeTracerProvider;
  readonly #tracer: Tracer;
  #reportFailure: (reason: string) => void = () => {};

  constructor(name: string, exporter: SpanExporter) {
    this.#provider = new NodeTracerProvider({
      resource: defaultResource()
        .merge(resourceFromAttributes({ 'service.name': name }))
        .merge(detectResources({ detectors: [envDetector] })),
      spanProcessors: [new BatchSpanProcessor(this.#observe(exporter))],
    });
    this.#provider.register();
    this.#tracer = this.#provider.getTracer('@messaging/service_kit');
    this.#traceRedisCommands();
  }

  get isInSpan(): boolean {
    return trace.getActiveSpan() !== undefined;
  }

  get traceparent(): string | undefined {
    return traceparentOf(context.active());
  }

  begin({ name, kind, attributes, parent, doneIn }: SpanOptions): Span {
    const around = parent ? propagation.extract(ROOT_CONTEXT, { traceparent: parent }) : context.active();
    const links = doneIn instanceof StartedSpan ? [doneIn.link] : [];
    const span = this.#tracer.startSpan(name, { kind: kinds[kind], attributes, links }, around);
    return new StartedSpan(span, trace.setSpan(around, span));
  }

  async trace<Result>(options: SpanOptions, work: (span: Span) => Promise<Result>): Promise<Result> {
    const span = this.begin(options);
    try {
      return await span.run(async () => work(span));
    } catch (error) {
      span.fail(errorTypeOf(error));
      throw error;
    } finally {
      span.end();
    }
  }

  capture(): Span['run'] {
    const active = context.active();
    return (work) => context.with(active, work);
  }

  logFields() {
    const active = trace.getActiveSpan()?.spanContext();
    return active ? { trace_id: active.traceId, span_id: active.spanId } : {};
  }

  onFailure(listener: (reason: string) => void): void {
    this.#reportFailure = listener;
  }

  async stop(graceMs: number): Promise<void> {
    const patience = new Promise<void>((resolve) => setTimeout(resolve, graceMs).unref());
    await Promise.race([this.#provider.shutdown().catch(() => {}), patience]);
  }

  #observe(exporter: SpanExporter): SpanExporter {
    return {
      export: (spans, done) =>
        exporter.export(spans, (result) => {
          if (result.error) this.#reportFailure(result.error.message);
          done(result);
        }),
      shutdown: async () => exporter.shutdown(),
    };
  }

  /** Those that are sent by themselves: a script has a span that tells its name. */
  #traceRedisCommands(): void {
    const spans = new WeakMap<object, Span>();
    tracingChannel<unknown, object>('ioredis:command').subscribe({
      start: (message) => {
        const sent = redisCommand.safeParse(message);
        // The probes and the connection's own commands belong to no trace.
        if (!sent.success || !this.isInSpan) return;
        const name = sent.data.command.toUpperCase();
        spans.set(
          message,
          this.begin({
            name,
            kind: 'client',
            attributes: {
              'db.system.name': 'redis',
              'db.operation.name': name,
              'db.namespace': String(sent.data.database),
            },
          }),
        );
      },
      end: () => {},
      asyncStart: () => {},
      asyncEnd: (message) => spans.get(message)?.end(),
      error: (message) => spans.get(message)?.fail(errorTypeOf(message.error)),
    });
  }
}

const redisCommand = z.object({ command: z.string().regex(/^(?!eval)/i), database: z.number() });

class StartedSpan implements Span {
  constructor(
    private readonly span: OtelSpan,
    private readonly around: Context,
  ) {}

  get traceparent(): string {
    return traceparentOf(this.around) ?? '';
  }

  get link() {
    return { context: this.span.spanContext() };
  }

  run<Result>(work: () => Result): Result {
    return context.with(this.around, work);
  }

  rename(name: string): void {
    this.span.updateName(name);
  }

  set(attributes: SpanOptions['attributes']): void {
    this.span.setAttributes(attributes);
  }

  fail(errorType: string): void {
    // Without the message: it may quote what a user wrote.
    this.span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', errorType);
  }

  end(): void {
    this.span.end();
  }
}

function traceparentOf(around: Context): string | undefined {
  const carrier: Record<string, string> = {};
  propagation.inject(around, carrier);
  return carrier['traceparent'];
}

function errorTypeOf(error: unknown): string {
  if (error instanceof ServiceError) return error.kind;
  return error instanceof Error ? error.name : typeof error;
}
