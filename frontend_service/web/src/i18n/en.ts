import { describeDuration } from '../lib/duration.js';
import { plural } from './plural.js';

const unreadMessages = plural('en', { one: 'unread message', other: 'unread messages' });
const bytes = plural('en', { one: 'byte', other: 'bytes' });

export const en = {
  appName: 'Inbox',
  title: (unread: number) => (unread > 0 ? `(${unread}) Inbox` : 'Inbox'),
  tryAgain: 'Try again',
  loadMore: 'Load more',
  loading: 'Loading…',
  close: 'Close',
  cancel: 'Cancel',

  // Signing in
  signIn: 'Sign in',
  signingIn: 'Signing in…',
  createAccount: 'Create account',
  creatingAccount: 'Creating your account…',
  signInTitle: 'Welcome back',
  signInIntro: 'Sign in to read and write messages.',
  signUpTitle: 'Welcome',
  signUpIntro: 'Create an account to start a conversation.',
  iAmNew: 'I am new here',
  iHaveAnAccount: 'I have an account',
  email: 'Email',
  password: 'Password',
  name: 'Name',
  wrongPassword: 'Email or password are wrong.',
  emailTaken: 'There is already an account with this email address.',
  sessionEnded: 'Your session has ended. Sign in again to go on.',
  signOut: 'Sign out',
  unsentWarning: 'Some messages are not sent yet, and would be lost. Sign out all the same?',
  signOutFailed: 'You are still signed in: the server could not be reached.',

  // What can go wrong
  unreachable: 'The server cannot be reached. Check your connection and try again.',
  tooManyRequests: (seconds: number) =>
    `That was too much at once. Try again ${seconds > 1 ? `in ${describeDuration(seconds, 'en')}` : 'in a moment'}.`,
  unavailable: 'The service is not available at the moment. Try again shortly.',
  conversationsFailed: 'Your conversations could not be loaded.',
  messagesFailed: 'The messages could not be loaded.',
  olderFailed: 'Older messages could not be loaded.',
  notificationsFailed: 'Your notifications could not be loaded.',
  reconnecting: 'Reconnecting…',
  offline: 'You are offline. Reconnecting…',

  // Conversations
  conversations: 'Conversations',
  newConversation: 'New conversation',
  newConversationIntro: 'To whom would you like to write?',
  emailAddress: 'Email address',
  startConversation: 'Start',
  noConversations: 'No conversations yet',
  noConversationsHint: 'Start one with “New conversation”, or wait for somebody to write to you.',
  unreadMessages: (count: number) => `${count} ${unreadMessages(count)}`,
  you: 'You',
  back: 'Back to conversations',
  yesterday: 'Yesterday',
  today: 'Today',

  // A conversation
  conversationWith: (email: string) => `Conversation with ${email}`,
  nothingOpen: 'Pick a conversation',
  nothingOpenHint: 'Choose one from the list, or start a new one.',
  noMessages: 'No messages yet',
  noMessagesHint: (email: string) => `What you write reaches ${email} at once.`,
  beginning: 'This is where the conversation begins.',
  loadOlder: 'Load older messages',
  newMessages: 'New messages',
  toTheEnd: 'To the newest message',
  message: 'Message',
  messagePlaceholder: 'Write a message',
  send: 'Send',
  sending: 'Sending…',
  waiting: 'Not sent yet. Trying again…',
  notSent: 'Not sent.',
  noSuchUser: 'There is no user with this email address.',
  discard: 'Discard',
  bytesLeft: (count: number) => `${count.toLocaleString('en')} ${bytes(count)} left`,
  bytesTooMany: (count: number) => `${count.toLocaleString('en')} ${bytes(count)} too long`,

  // Notifications
  notifications: 'Notifications',
  notificationsUnread: (count: number) =>
    count > 0 ? `Notifications, ${count} unread` : 'Notifications, none unread',
  wroteToYou: (email: string) => `${email} wrote to you`,
  unread: 'Unread',
  noNotifications: 'No notifications yet',
  markAllRead: 'Mark all as read',
  notifyMe: 'Notify me',
  notifyMeHint: 'of new messages, as they arrive',
  notificationsOff: 'Notifications are off: new messages show up with a delay of some seconds.',
  subscriptionFailed: 'That could not be changed. Try again.',
  allowDesktop: 'Show notifications on the desktop',
};

/** All that the page says. */
export type Dictionary = typeof en;
