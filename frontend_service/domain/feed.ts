import type { Logger } from '@messaging/service_kit/log';

/** A notification on its way to the person it is for. */
export interface Notification {
  senderEmail: string;
  receiverEmail: string;
}

/** Shows notifications to their receivers. */
export class Feed {
  constructor(private readonly logger: Logger) {}

  /** Shows a notification: a line in the log, where whoever runs the suite sees it arrive. */
  show({ senderEmail, receiverEmail }: Notification): void {
    this.logger.info({ from: senderEmail, to: receiverEmail }, 'notification');
  }
}
