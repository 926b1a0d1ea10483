import type { RequestHandler } from 'express';
import type { Tracing } from '../tracing.js';
import { routeOf } from './route.js';

/**
 * Makes what traces each request (https://opentelemetry.io/docs/specs/semconv/http/http-spans/), and has everything that is done
 * for it belong to its span. Told is the route and not the path, which may hold an email.
 */
export function traceRequests(tracing: Tracing): RequestHandler {
  return (request, response, next) => {
    const { method } = request;
    const span = tracing.begin({
      name: method,
      kind: 'server',
      attributes: { 'http.request.method': method },
      parent: request.get('traceparent'),
    });
    response.once('close', () => {
      const { statusCode } = response;
      const route = routeOf(request);
      if (route !== undefined) {
        span.rename(`${method} ${route}`);
        span.set({ 'http.route': route });
      }
      span.set({ 'http.response.status_code': statusCode });
      if (statusCode >= 500) span.fail(String(statusCode));
      span.end();
    });
    span.run(next);
  };
}
