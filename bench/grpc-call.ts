import type { CallOptions, Client } from '@grpc/grpc-js';

/** One method of a gRPC service: what it takes to call it. */
export interface Method<Request, Reply> {
  path: string;
  requestSerialize: (request: Request) => Buffer;
  responseDeserialize: (bytes: Buffer) => Reply;
}

/** Makes one call. @throws grpc-js's ServiceError. */
export function callUnary<Request, Reply>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: Method<Request, Reply>,
  request: Request,
  options: CallOptions = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, options, (error, reply) => {
      if (error) reject(error);
      else if (reply === undefined) reject(new Error(`${path} answered with nothing`));
      else resolve(reply);
    });
  });
}
