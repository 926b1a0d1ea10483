import { expect, it } from 'vitest';
import { grpc, newEmail } from '../helpers/clients.js';

it('ReceiveNotification takes a notification', async () => {
  const reply = await grpc.frontend.ReceiveNotification({
    sender_email: newEmail('alice'),
    receiver_email: newEmail('bob'),
    timestamp: new Date().toISOString(),
    read: false,
  });
  expect(reply).toStrictEqual({ success: true });
});
