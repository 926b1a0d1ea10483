import { recordedEmail, requiredEmail } from '@messaging/service_kit/email';
import { booleanText } from '@messaging/service_kit/input';
import { nextPageToken, pageQuery } from '@messaging/service_kit/paging';
import { emailInput } from '@messaging/service_kit/rest/email-input';
import { noContent, type Operation } from '@messaging/service_kit/rest/operation';
import { z } from 'zod';
import { chosenNotifications, notificationId, optionalNotificationId } from '../domain/notification.js';

const success = z.literal(true);
const whose = { description: 'Whose', examples: ['bob@example.com'] };
const email = requiredEmail.meta(whose);
const unread = z.int().meta({ description: 'How many are unread' });

const notificationFields = {
  sender_email: z.string(),
  receiver_email: z.string(),
  timestamp: z.string().meta({ description: 'ISO 8601, in UTC' }),
  read: z.boolean(),
  id: z.string().optional().meta({ description: "Counts the receiver's notifications, from 1" }),
  message_id: z.string().optional().meta({ description: 'The message that caused it, where one did' }),
};
const notification = z.object(notificationFields).meta({ id: 'Notification' });
const storedNotification = z.looseObject(notificationFields).meta({
  id: 'StoredNotification',
  description: 'As it is stored, with whatever another version may have added',
});

export const listNotifications = {
  id: 'listNotifications',
  method: 'get',
  path: '/list_notifications',
  summary: "List all of a user's notifications, the newest first",
  input: emailInput,
  success: {
    status: 200,
    description: 'The notifications',
    body: z.object({ success, notifications: z.array(storedNotification) }),
  },
} satisfies Operation;

export const listNotificationsPage = {
  id: 'listNotificationsPage',
  method: 'get',
  path: '/notifications',
  summary: "List a user's notifications in pages, the newest first",
  input: z.object({
    query: z.object({
      email,
      after_id: optionalNotificationId.meta({
        description: 'Only those after this one, the oldest of them first',
      }),
      unread_only: booleanText.meta({ description: 'Only those that are unread' }),
      ...pageQuery.shape,
    }),
  }),
  success: {
    status: 200,
    description: 'A page of notifications',
    body: z.object({
      success,
      notifications: z.array(notification),
      next_page_token: nextPageToken,
      last_id: z
        .string()
        .meta({ description: 'The id of the newest that there is or was; 0 where there was none' }),
    }),
  },
} satisfies Operation;

export const markNotificationsRead = {
  id: 'markNotificationsRead',
  method: 'post',
  path: '/notifications/read',
  summary: 'Mark some or all notifications as read',
  description: 'Which, one of `ids`, `up_to_id` and `all` says.',
  input: z.object({ body: chosenNotifications }),
  success: { status: 200, description: 'They are marked', body: z.object({ success, unread }) },
} satisfies Operation;

export const deleteNotifications = {
  id: 'deleteNotifications',
  method: 'delete',
  path: '/notifications',
  summary: 'Delete all notifications, or all up to one',
  input: z.object({
    query: z.object({
      email,
      // An empty one is a mistake rather than unset: without one, all are deleted.
      up_to_id: notificationId.optional().meta({ description: 'The newest to delete; unset for all' }),
    }),
  }),
  success: {
    status: 200,
    description: 'They are gone',
    body: z.object({ success, deleted: z.int().meta({ description: 'How many there were' }) }),
  },
} satisfies Operation;

export const deleteNotification = {
  id: 'deleteNotification',
  method: 'delete',
  path: '/notifications/:id',
  summary: 'Delete a notification',
  input: z.object({
    params: z.object({ id: notificationId }),
    query: z.object({ email }),
  }),
  success: noContent('It is gone'),
  refusals: { notFound: 'The user has no such notification' },
} satisfies Operation;

export const countUnread = {
  id: 'countUnread',
  method: 'get',
  path: '/notifications/unread_count',
  summary: "Count a user's unread notifications",
  input: z.object({ query: z.object({ email }) }),
  success: { status: 200, description: 'Their number', body: z.object({ success, unread }) },
} satisfies Operation;

const subscriber = z.object({ email: recordedEmail.meta(whose) });
const subscribed = z.boolean().meta({ description: 'Whether the user gets notifications' });
const subscription = z.object({ success, subscribed });

export const getSubscription = {
  id: 'getSubscription',
  method: 'get',
  path: '/subscriptions/:email',
  summary: 'Tell whether a user gets notifications',
  input: z.object({ params: subscriber }),
  success: { status: 200, description: 'The subscription', body: subscription },
} satisfies Operation;

export const setSubscription = {
  id: 'setSubscription',
  method: 'put',
  path: '/subscriptions/:email',
  summary: 'Subscribe or unsubscribe a user',
  input: z.object({ params: subscriber, body: z.object({ subscribed }) }),
  success: { status: 200, description: 'The subscription, as it is from now on', body: subscription },
} satisfies Operation;
