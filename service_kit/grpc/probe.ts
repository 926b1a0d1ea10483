import { Client, credentials } from '@grpc/grpc-js';
import { service as health } from 'grpc-health-check';
import { z } from 'zod';

const serving = z.object({ status: z.literal('SERVING') });

/** Asks a gRPC door whether it serves. Resolves to false where it does not, or does not answer in time. */
export async function isGrpcServing(address: string, timeoutMs: number): Promise<boolean> {
  const { Check } = health;
  if (!Check) throw new Error('grpc-health-check no longer defines Check');
  const client = new Client(address, credentials.createInsecure());
  try {
    return await new Promise((resolve) => {
      client.makeUnaryRequest(
        Check.path,
        Check.requestSerialize,
        Check.responseDeserialize,
        { service: '' },
        { deadline: Date.now() + timeoutMs },
        (_error, reply) => resolve(serving.safeParse(reply).success),
      );
    });
  } finally {
    client.close();
  }
}
