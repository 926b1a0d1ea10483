import type { requestCallback } from '@grpc/grpc-js';
import type { ProtoGrpcType } from '@messaging/proto_definitions/user';
import type { CheckUsersExistResponse__Output } from '@messaging/proto_definitions/user_service/CheckUsersExistResponse';
import type { UserServiceClient } from '@messaging/proto_definitions/user_service/UserService';
import { MAX_BATCH_ITEMS } from '@messaging/service_kit/coalescer';
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

/** Of a message's sender and its receiver. */
type Parties<Of> = [sender: Of, receiver: Of];

/** UserService, as MessageService needs it. */
export class UserGateway {
  readonly peer: Peer<UserServiceClient>;
  readonly #find: (parties: Parties<string>, context: RequestContext) => Promise<Parties<Existence>>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('UserService', address, timeoutMs, logger, UserService);
    this.#find = this.peer.coalesce({
      path: UserService.service.CheckUsersExist.path,
      // Two of the batch's items each, at the most.
      maxItems: MAX_BATCH_ITEMS / 2,
      request: (messages: Parties<string>[], origins) => ({
        emails: toDistinct(messages),
        with_tenures: true,
        ...origins,
      }),
      unary: (request, options, callback: requestCallback<CheckUsersExistResponse__Output>) =>
        this.peer.client.CheckUsersExist(request, options, callback),
      stream: (options) => this.peer.client.CheckUsersExistStream(options),
      results: ({ exists: found, tenures }, messages) => {
        const existences = new Map(
          toDistinct(messages).map((email, index) => [
            email,
            { exists: found[index], tenure: tenures?.numbers[index] ?? '' },
          ]),
        );
        const existenceOf = (email: string): Existence => {
          const { exists, tenure = '' } = existences.get(email) ?? {};
          if (exists === undefined) throw new Error('UserService did not tell of each address');
          return { exists, tenure };
        };
        return messages.map(([sender, receiver]): Parties<Existence> => [
          existenceOf(sender),
          existenceOf(receiver),
        ]);
      },
    });
  }

  /** Tells whether the accounts of both parties exist, and whose the addresses are. @throws {ServiceError} when UserService does not say. */
  async findParties(sender: string, receiver: string, context: RequestContext): Promise<Parties<Existence>> {
    return this.#find([askable(sender), askable(receiver)], context);
  }
}

/** What a batch asks about: those who write to many, or are written to by many, are looked up once. */
function toDistinct(messages: Parties<string>[]): string[] {
  return [...new Set(messages.flat())];
}

/** No account's address is longer, and what is long would take the room of others in a batch. Nobody has the empty one. */
function askable(email: string): string {
  return email.length > MAX_EMAIL_LENGTH ? '' : email;
}
