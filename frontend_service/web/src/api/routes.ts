import { command, request } from './request.js';
import {
  conversationPageSchema,
  messagePageSchema,
  notificationPageSchema,
  sentMessageSchema,
  subscriptionSchema,
  userSchema,
} from './schemas.js';

const PAGE_SIZE = '50';

const conversationPath = (email: string) => `/conversations/${encodeURIComponent(email)}`;
const pageQuery = (pageToken: string) =>
  new URLSearchParams({ page_size: PAGE_SIZE, page_token: pageToken }).toString();

/** Creates an account; it does not sign in. */
export const createUser = (user: { email: string; password: string; name: string }) =>
  command('/users', { method: 'POST', body: user, isAboutSession: true });

/** Signs in. */
export const createSession = (credentials: { email: string; password: string }) =>
  request('/session', userSchema, { method: 'POST', body: credentials, isAboutSession: true });

/** Who is signed in; 401 where nobody is. */
export const getSession = () => request('/session', userSchema, { isAboutSession: true });

/** Signs out. */
export const deleteSession = () => command('/session', { method: 'DELETE', isAboutSession: true });

/** A page of the conversations, most recent first. */
export const listConversations = (pageToken: string) =>
  request(`/conversations?${pageQuery(pageToken)}`, conversationPageSchema);

/** A page of the messages exchanged with `email`, newest first. */
export const listMessages = (email: string, pageToken: string) =>
  request(`${conversationPath(email)}/messages?${pageQuery(pageToken)}`, messagePageSchema);

/** Sends a message; a repeat with the same key sends nothing again, and gets the first answer. */
export const sendMessage = (email: string, content: string, idempotencyKey: string) =>
  request(`${conversationPath(email)}/messages`, sentMessageSchema, {
    method: 'POST',
    body: { content },
    headers: { 'Idempotency-Key': idempotencyKey },
  });

/** Marks all that `email` wrote as read. */
export const markConversationRead = (email: string) =>
  command(`${conversationPath(email)}/read`, { method: 'POST' });

/** A page of the notifications, newest first. */
export const listNotifications = (pageToken: string) =>
  request(`/notifications?${pageQuery(pageToken)}`, notificationPageSchema);

/** At most 500 notifications by their ids, or all up to one. */
export type NotificationSelection = { ids: string[] } | { up_to_id: string };

export const markNotificationsRead = (selection: NotificationSelection) =>
  command('/notifications/read', { method: 'POST', body: selection });

/** Whether the user wants to be notified. */
export const getSubscription = () => request('/subscription', subscriptionSchema);

/** Says whether the user wants to be notified. */
export const putSubscription = (subscribed: boolean) =>
  request('/subscription', subscriptionSchema, { method: 'PUT', body: { subscribed } });
