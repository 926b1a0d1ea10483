import type { Outbox } from '@messaging/service_kit/redis/outbox';
import type { RequestContext } from '@messaging/service_kit/request';
import type { NotificationGateway } from '../clients/notification-gateway.js';
import type { PendingNotification } from './message.js';

/** Has the receivers of stored messages notified. */
export class Notifier {
  constructor(
    private readonly outbox: Outbox<PendingNotification>,
    private readonly notifications: NotificationGateway,
    private readonly waitMs: number,
  ) {}

  /**
   * Delivers the outbox entry of a message that was just stored. Never fails: what is not delivered now follows.
   * Resolves once the notification is stored; after `waitMs` at the latest, though the call goes on; at once, when
   * NotificationService can't be reached anyway.
   */
  async notify(entryId: string, notification: PendingNotification, context: RequestContext): Promise<void> {
    if (this.notifications.peer.isUnreachable) return;
    await this.outbox.deliverWithin(this.waitMs, entryId, notification, context.requestId);
  }
}
