import type { Logger } from '@messaging/service_kit/log';

/** A notification on its way to the person it is for. */
export interface Notification {
  senderEmail: string;
  receiverEmail: string;
  /** Counts the receiver's notifications; undefined where its sender did not give one. */
  id: string | undefined;
}

/** Shows notifications to their receivers. */
export class Feed {
  constructor(private readonly logger: Logger) {}

  /** Shows a notification: a line in the log, where whoever runs the suite sees it arrive. */
  show({ senderEmail, receiverEmail, id }: Notification): void {
    this.logger.info({ from: senderEmail, to: receiverEmail, id }, 'notification');
  }
}
