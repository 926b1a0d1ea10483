import { Client, credentials } from '@grpc/grpc-js';
import type { ProcessName } from '#scripts/suite';
import { H2load } from './drivers/h2load.js';
import type { Load } from './drivers/load.js';
import { Wrk } from './drivers/wrk.js';
import { callUnary, type Method } from './grpc-call.js';

const CALL_TIMEOUT_MS = 60_000;

/** A call of the contract, always with the same arguments. */
export interface Call {
  /** The process of the suite that answers it. */
  process: ProcessName;
  door: 'grpc' | 'rest';
  /** The method's path, or the route. */
  path: string;
  /** Makes it once, and returns the body of the answer. */
  ask: (address: string) => Promise<Buffer>;
  /** Whether an answer is what the caller wants, rather than a refusal. */
  isRight: (answer: Buffer) => boolean;
  /** Makes it over and over again. */
  createLoad: (address: string, folder: string) => Load;
}

/** A unary gRPC call. */
export function grpcCall<Request, Reply>(
  process: ProcessName,
  method: Method<Request, Reply>,
  request: Request,
  isRight: (reply: Reply) => boolean,
): Call {
  const { path } = method;
  const bytes = method.requestSerialize(request);
  return {
    process,
    door: 'grpc',
    path,
    ask: async (address) => {
      const client = new Client(address, credentials.createInsecure());
      try {
        await new Promise<void>((resolve, reject) => {
          client.waitForReady(Date.now() + CALL_TIMEOUT_MS, (error) => (error ? reject(error) : resolve()));
        });
        return await callUnary(client, rawMethod(path), bytes, { deadline: Date.now() + CALL_TIMEOUT_MS });
      } finally {
        client.close();
      }
    },
    isRight: (answer) => isRight(method.responseDeserialize(answer)),
    createLoad: (address, folder) => new H2load(address, path, bytes, folder),
  };
}

/** A method whose messages stay as they are on the wire. */
function rawMethod(path: string): Method<Buffer, Buffer> {
  return { path, requestSerialize: (bytes) => bytes, responseDeserialize: (bytes) => bytes };
}

/** A GET. @param cookie what the caller is known by, where that is asked for */
export function restCall(
  process: ProcessName,
  path: string,
  query: Record<string, string>,
  isRight: (answer: unknown) => boolean,
  cookie?: string,
): Call {
  const url = (address: string) => `http://${address}${path}?${new URLSearchParams(query).toString()}`;
  return {
    process,
    door: 'rest',
    path,
    ask: async (address) => {
      const response = await fetch(url(address), {
        ...(cookie !== undefined && { headers: { cookie } }),
        signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      });
      return Buffer.from(await response.arrayBuffer());
    },
    isRight: (answer) => isRight(JSON.parse(answer.toString())),
    createLoad: (address) => new Wrk(url(address), cookie),
  };
}
