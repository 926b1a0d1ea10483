import type { requestCallback } from '@grpc/grpc-js';
import type { ProtoGrpcType } from '@messaging/proto_definitions/user';
import type { CheckUsersExistResponse__Output } from '@messaging/proto_definitions/user_service/CheckUsersExistResponse';
import type { UserServiceClient } from '@messaging/proto_definitions/user_service/UserService';
import { MAX_EMAIL_LENGTH } from '@messaging/service_kit/email';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';

const { UserService } = loadProto<ProtoGrpcType>('user.proto').user_service;

/** What UserService tells of an address. */
export interface Existence {
  exists: boolean;
  /** Grows whenever somebody takes the address; empty where UserService is of an older version. */
  tenure: string;
}

/** UserService, as MessageService needs it. */
export class UserGateway {
  readonly peer: Peer<UserServiceClient>;
  readonly #find: (email: string, context: RequestContext) => Promise<Existence>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('UserService', address, timeoutMs, logger, UserService);
    this.#find = this.peer.coalesce({
      path: UserService.service.CheckUsersExist.path,
      request: (emails: string[], origins) => ({ emails, with_tenures: true, ...origins }),
      unary: (request, options, callback: requestCallback<CheckUsersExistResponse__Output>) =>
        this.peer.client.CheckUsersExist(request, options, callback),
      stream: (options) => this.peer.client.CheckUsersExistStream(options),
      results: ({ exists: found, tenures }) =>
        found.map((exists, index) => ({ exists, tenure: tenures?.numbers[index] ?? '' })),
    });
  }

  /** Tells whether an account exists, and whose the address is. @throws {ServiceError} when UserService does not say. */
  async find(email: string, context: RequestContext): Promise<Existence> {
    // None is longer, and what is long would take the room of others in a batch.
    if (email.length > MAX_EMAIL_LENGTH) return { exists: false, tenure: '' };
    return this.#find(email, context);
  }
}
