import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { z } from 'zod';

/** As proto-loader tells of a method; grpc-js's own types leave it out. */
const declared = z.object({ options: z.object({ idempotency_level: z.string() }) });

const REPEATABLE = ['NO_SIDE_EFFECTS', 'IDEMPOTENT'];

/** Tells whether a call may be made twice: whether the method's .proto has an `idempotency_level` that says so. */
export function isRepeatable(method: MethodDefinition<unknown, unknown> | undefined): boolean {
  const { data } = declared.safeParse(method);
  return data !== undefined && REPEATABLE.includes(data.options.idempotency_level);
}

/**
 * What a client is told of a service, as JSON: calls are spread over every replica, and what may be made twice is made again
 * where a replica was lost on the way. The more calls fail, the fewer are made again, and none where half of them do.
 *
 * Its form: https://github.com/grpc/grpc/blob/master/doc/service_config.md and
 * https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
export function serviceConfigOf(definition: ServiceDefinition): string {
  const repeatable = Object.values(definition).filter(
    (method) => isRepeatable(method) && !method.requestStream && !method.responseStream,
  );
  return JSON.stringify({
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: [
      {
        name: repeatable.map(({ path }) => {
          const [, service, method] = path.split('/');
          return { service, method };
        }),
        retryPolicy: {
          maxAttempts: 4,
          initialBackoff: '0.05s',
          maxBackoff: '0.5s',
          backoffMultiplier: 2,
          retryableStatusCodes: ['UNAVAILABLE'],
        },
      },
    ],
    // A failure takes one token and a success brings one back; below half of them nothing is repeated.
    retryThrottling: { maxTokens: 50, tokenRatio: 1 },
  });
}
