import type { ProtoGrpcType } from '@messaging/proto_definitions/user';
import type { CheckUserExistsResponse__Output } from '@messaging/proto_definitions/user_service/CheckUserExistsResponse';
import type { UserServiceClient } from '@messaging/proto_definitions/user_service/UserService';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';

const { UserService } = loadProto<ProtoGrpcType>('user.proto').user_service;

/** UserService, as MessageService needs it. */
export class UserGateway {
  readonly peer: Peer<UserServiceClient>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('UserService', address, timeoutMs, logger, UserService);
  }

  /** Tells whether an account exists. @throws {ServiceError} when UserService does not say. */
  async exists(email: string, context: RequestContext): Promise<boolean> {
    const reply = await this.peer.call<CheckUserExistsResponse__Output>(context, (options, callback) =>
      this.peer.client.CheckUserExists({ email }, options, callback),
    );
    return reply.exists ?? false;
  }
}
