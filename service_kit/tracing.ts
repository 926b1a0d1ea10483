/** What a span is told of. Names are those of OpenTelemetry's semantic conventions. */
export interface SpanOptions {
  name: string;
  kind: 'server' | 'client' | 'producer' | 'consumer';
  /** Never an email, a key, a value or a text: spans leave the suite. */
  attributes: Record<string, string | number>;
  /** The `traceparent` that came with it from another process; without one it belongs to the span that is active here. */
  parent?: string | undefined;
  /** A span, mostly of another trace, in which the work is done that this one waits for. */
  doneIn?: Span | undefined;
}

/** A part of a trace: one piece of work, from its beginning to its end. */
export interface Span {
  /** Has another process continue the trace from here (https://www.w3.org/TR/trace-context/). */
  readonly traceparent: string;
  /** Runs work in this span: what it begins belongs to it, also after an `await`. */
  run: <Result>(work: () => Result) => Result;
  rename: (name: string) => void;
  set: (attributes: SpanOptions['attributes']) => void;
  /** Marks it as failed. */
  fail: (errorType: string) => void;
  end: () => void;
}

/** What writes the traces of this process. */
export interface Tracing {
  /** Whether there is an active span. */
  readonly isInSpan: boolean;
  /** The active span's `traceparent`; undefined outside of all spans. */
  readonly traceparent: string | undefined;
  /** Begins a span, which its caller ends. */
  begin: (options: SpanOptions) => Span;
  /** Runs work in a span, which ends with it: as failed, where the work throws. */
  trace: <Result>(options: SpanOptions, work: (span: Span) => Promise<Result>) => Promise<Result>;
  /** Makes what runs other work later as a part of the span that is active now. */
  capture: () => Span['run'];
  /** What a line in the log tells of the active span. */
  logFields: () => { trace_id?: string; span_id?: string };
  /** Calls `listener` each time that spans could not be handed over, with the reason. */
  onFailure: (listener: (reason: string) => void) => void;
  /** Hands over what is left, in at most `graceMs`. */
  stop: (graceMs: number) => Promise<void>;
}

/** Undefined while tracing is off: whoever traces asks for it first, and that is all that it costs then. */
export let tracing: Tracing | undefined;

/**
 * Turns tracing on in this process. OpenTelemetry is loaded only now, and reads the rest of its own OTEL_ variables itself
 * (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
 *
 * @param name what the process is called, where OTEL_SERVICE_NAME does not say otherwise
 */
export async function startTracing(name: string, protocol: 'http/protobuf' | 'http/json'): Promise<void> {
  const { createTracing } = await import('./open-telemetry.js');
  tracing = await createTracing(name, protocol);
}
