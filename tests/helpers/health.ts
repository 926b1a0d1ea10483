import type { Client, StatusObject } from '@grpc/grpc-js';
import { service as health } from 'grpc-health-check';
import { z } from 'zod';

const reply = z.object({ status: z.string() });

/** A health watch: the statuses heard so far, and how the stream ended. */
export interface HealthWatch {
  readonly statuses: readonly string[];
  /** Resolves when the stream ends. */
  readonly ended: Promise<StatusObject>;
  cancel(): void;
}

/** Watches a service's health, as grpc.health.v1 defines it. */
export function watchHealth(channel: Client, service: string): HealthWatch {
  const { Watch } = health;
  if (!Watch) throw new Error('grpc-health-check no longer defines Watch');
  const stream = channel.makeServerStreamRequest(
    Watch.path,
    Watch.requestSerialize,
    Watch.responseDeserialize,
    {
      service,
    },
  );
  const statuses: string[] = [];
  stream.on('data', (message: unknown) => statuses.push(reply.parse(message).status));
  // How it ended is told by `status`, for errors as well.
  stream.on('error', () => {});
  return {
    statuses,
    ended: new Promise((resolve) => stream.once('status', resolve)),
    cancel: () => stream.cancel(),
  };
}
