import type { requestCallback } from '@grpc/grpc-js';
import type { ProtoGrpcType } from '@messaging/proto_definitions/frontend';
import type { EndWatchesResponse__Output } from '@messaging/proto_definitions/frontend_service/EndWatchesResponse';
import type { FrontendServiceClient } from '@messaging/proto_definitions/frontend_service/FrontendService';
import type { Notification } from '@messaging/proto_definitions/frontend_service/Notification';
import type { ReceiveNotificationsResponse__Output } from '@messaging/proto_definitions/frontend_service/ReceiveNotificationsResponse';
import { MAX_BATCH_ITEMS } from '@messaging/service_kit/coalescer';
import { Peer } from '@messaging/service_kit/grpc/peer';
import { loadProto } from '@messaging/service_kit/grpc/proto';
import type { Logger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';
import { describeNotification, type NotificationRecord } from '../domain/notification.js';

const { FrontendService } = loadProto<ProtoGrpcType>('frontend.proto').frontend_service;

/** Shorter than anyone sees. */
const PUSH_INTERVAL_MS = 10;

/** FrontendService, as NotificationService needs it. */
export class FrontendGateway {
  readonly peer: Peer<FrontendServiceClient>;
  readonly #receive: (notification: Notification, context: RequestContext) => Promise<unknown>;

  constructor(address: string, timeoutMs: number, logger: Logger) {
    this.peer = new Peer('FrontendService', address, timeoutMs, logger, FrontendService);
    this.#receive = this.peer.coalesce({
      path: FrontendService.service.ReceiveNotifications.path,
      // Nobody waits for a push, so the fewer batches, the better.
      itemsWorthABatch: MAX_BATCH_ITEMS,
      minIntervalMs: PUSH_INTERVAL_MS,
      request: (notifications: Notification[], origins) => ({ notifications, ...origins }),
      unary: (request, options, callback: requestCallback<ReceiveNotificationsResponse__Output>) =>
        this.peer.client.ReceiveNotifications(request, options, callback),
      stream: (options) => this.peer.client.ReceiveNotificationsStream(options),
      results: (reply) => reply.results,
    });
  }

  /** Has a stored notification shown. @throws {ServiceError} when FrontendService does not say that it took it. */
  async push(notification: NotificationRecord, context: RequestContext): Promise<void> {
    await this.#receive(describeNotification(notification), context);
  }

  /** Ends all watches of an address. @throws {ServiceError} when FrontendService does not say that they end everywhere. */
  async endWatches(email: string, context: RequestContext): Promise<void> {
    await this.peer.call<EndWatchesResponse__Output>(context, (options, callback) =>
      this.peer.client.EndWatches({ email }, options, callback),
    );
  }
}
