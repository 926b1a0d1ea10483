import { expect, it } from 'vitest';
import { grpc, newEmail } from '../helpers/clients.js';
import { expectInvalidArgument } from '../helpers/expectations.js';

it('ReceiveNotification takes a notification', async () => {
  const reply = await grpc.frontend.ReceiveNotification({
    sender_email: newEmail('alice'),
    receiver_email: newEmail('bob'),
    timestamp: new Date().toISOString(),
    read: false,
  });
  expect(reply).toStrictEqual({ success: true });
});

it('ReceiveNotifications takes up to 256 at once, and refuses more', async () => {
  const notifications = Array.from({ length: 257 }, (_, index) => ({
    sender_email: newEmail('alice'),
    receiver_email: newEmail('bob'),
    timestamp: new Date().toISOString(),
    read: false,
    id: String(index + 1),
  }));
  const { ReceiveNotifications } = grpc.frontend;
  const reply = await ReceiveNotifications({ notifications: notifications.slice(1) });
  expect(reply).toStrictEqual({ results: Array.from({ length: 256 }, () => ({ success: true })) });
  await expectInvalidArgument(ReceiveNotifications({ notifications }), /notifications must be 256 items/);
  expect(await ReceiveNotifications({})).toStrictEqual({ results: [] });
});
