import { Client } from '@grpc/grpc-js';
import { service as health } from 'grpc-health-check';
import { z } from 'zod';
import type { ServiceName } from '../access/callers.js';
import { channelCredentials } from './credentials.js';

const healthReply = z.object({ status: z.enum(['SERVING', 'NOT_SERVING']) });

/** What a gRPC door says of its health. */
export type GrpcHealth = z.output<typeof healthReply>['status'];

/** Asks the gRPC door of a service for its health. Resolves to undefined where it does not answer in time. */
export async function readGrpcHealth(
  service: ServiceName,
  address: string,
  timeoutMs: number,
): Promise<GrpcHealth | undefined> {
  const { Check } = health;
  if (!Check) throw new Error('grpc-health-check no longer defines Check');
  const { credentials, options } = channelCredentials(service);
  const client = new Client(address, credentials, options);
  try {
    return await new Promise((resolve) => {
      client.makeUnaryRequest(
        Check.path,
        Check.requestSerialize,
        Check.responseDeserialize,
        { service: '' },
        { deadline: Date.now() + timeoutMs },
        (_error, reply) => resolve(healthReply.safeParse(reply).data?.status),
      );
    });
  } finally {
    client.close();
  }
}

/** Tells whether the gRPC door of a service says that it serves, in time. */
export async function isGrpcServing(
  service: ServiceName,
  address: string,
  timeoutMs: number,
): Promise<boolean> {
  return (await readGrpcHealth(service, address, timeoutMs)) === 'SERVING';
}
