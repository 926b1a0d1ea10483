import { requiredEmail } from '@messaging/service_kit/email';
import { booleanText, parseInput, text } from '@messaging/service_kit/input';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { pageQuery } from '@messaging/service_kit/paging';
import type { RequestContext } from '@messaging/service_kit/request';
import type { RouteHandler } from '@messaging/service_kit/rest/app';
import type { ServerSentEvent } from '@messaging/service_kit/rest/event-stream';
import { RestServer } from '@messaging/service_kit/rest/server';
import type { Request, Response } from 'express';
import { z } from 'zod';
import type { FrontendServiceConfig } from '../config.js';
import type { LiveEvent } from '../domain/live-events.js';
import type { Session } from '../domain/sessions.js';
import { createInboxService } from '../service.js';
import { keepPrivate, securityHeaders, servePage, servePageFiles } from './page.js';
import { requireSameOrigin } from './same-origin.js';
import { clearSessionToken, readSessionToken, setSessionToken } from './session-cookie.js';

/** Enough for a message of 64 KiB, however much of it JSON has to escape. */
const MESSAGE_BODY_LIMIT_BYTES = 512 * 1024;

const credentials = z.object({ email: requiredEmail, password: z.string().min(1, 'is required') });
const conversationPath = z.object({ email: requiredEmail });
const notificationsQuery = z.object({ unread_only: booleanText });
const newMessage = z.object({ content: text.min(1, 'must not be empty') });
const messageHeaders = z.object({ 'idempotency-key': z.string().optional() });
const seenNotifications = z
  .object({ ids: z.array(z.string()).default([]), up_to_id: z.string().optional() })
  .refine(({ ids, up_to_id }) => ids.length > 0 || up_to_id, 'must name ids or up_to_id');
const subscription = z.object({ subscribed: z.boolean() });
const lastEventId = z.object({ last_event_id: z.string().optional() });

/** Creates the REST door of FrontendService and all that it needs, in the order to start. */
export function createRestApp(config: FrontendServiceConfig, logger: Logger): Component[] {
  const { users, sessions, inbox, liveEvents, peers, components } = createInboxService(config, logger);

  /** Makes a handler that only the signed-in user gets to. */
  const signedIn =
    (
      handle: (request: Request, response: Response, email: string, context: RequestContext) => Promise<void>,
    ): RouteHandler =>
    async (request, response, context) => {
      const { user } = await readSession(request);
      await handle(request, response, user.email, context);
    };
  const readSession = async (request: Request): Promise<Session> =>
    sessions.readToken(readSessionToken(request));

  const server = new RestServer(
    config,
    logger,
    {
      name: 'FrontendService',
      dependencies: [],
      peers,
      middleware: [securityHeaders, keepPrivate, requireSameOrigin, servePage, servePageFiles],
    },
    (add, addEvents) => {
      add('post', '/api/users', async (request, response, context) => {
        response.status(201).json(await users.createUser(request.body, context));
      });

      add('post', '/api/session', async (request, response, context) => {
        const { email, password } = parseInput(credentials, request.body);
        const { token, session } = await sessions.logIn(email, password, context);
        setSessionToken(request, response, token, session.expiresAt);
        response.json(session.user);
      });

      add('get', '/api/session', async (request, response, context) => {
        response.json(await sessions.getUser(await readSession(request), context));
      });

      add('delete', '/api/session', async (request, response) => {
        clearSessionToken(request, response);
        await readSession(request);
        response.status(204).end();
      });

      add(
        'get',
        '/api/conversations',
        signedIn(async (request, response, user, context) => {
          const page = await inbox.listConversations(user, readPage(request), context);
          response.json({ conversations: page.items, next_page_token: page.nextPageToken });
        }),
      );

      add(
        'get',
        '/api/conversations/:email/messages',
        signedIn(async (request, response, user, context) => {
          const { email } = parseInput(conversationPath, request.params);
          const page = await inbox.listMessages(user, email, readPage(request), context);
          response.json({ messages: page.items, next_page_token: page.nextPageToken });
        }),
      );

      add(
        'post',
        '/api/conversations/:email/messages',
        signedIn(async (request, response, user, context) => {
          const { email } = parseInput(conversationPath, request.params);
          const { content } = parseInput(newMessage, request.body);
          const { 'idempotency-key': requestId } = parseInput(messageHeaders, request.headers);
          const message = { senderEmail: user, receiverEmail: email, content, requestId };
          response.status(201).json({ message_id: await inbox.sendMessage(message, context) });
        }),
        { bodyLimitBytes: MESSAGE_BODY_LIMIT_BYTES },
      );

      add(
        'post',
        '/api/conversations/:email/read',
        signedIn(async (request, response, user, context) => {
          const { email } = parseInput(conversationPath, request.params);
          await inbox.markConversationRead(user, email, context);
          response.status(204).end();
        }),
      );

      add(
        'get',
        '/api/notifications',
        signedIn(async (request, response, user, context) => {
          const { unread_only } = parseInput(notificationsQuery, request.query);
          const page = await inbox.listNotifications(user, unread_only, readPage(request), context);
          response.json({
            notifications: page.items,
            unread: page.unread,
            next_page_token: page.nextPageToken,
          });
        }),
      );

      add(
        'post',
        '/api/notifications/read',
        signedIn(async (request, response, user, context) => {
          const { ids, up_to_id } = parseInput(seenNotifications, request.body);
          await inbox.markNotificationsRead(user, { ids, upToId: up_to_id }, context);
          response.status(204).end();
        }),
      );

      add(
        'get',
        '/api/subscription',
        signedIn(async (_request, response, user, context) => {
          response.json({ subscribed: await inbox.isSubscribed(user, context) });
        }),
      );

      add(
        'put',
        '/api/subscription',
        signedIn(async (request, response, user, context) => {
          const { subscribed } = parseInput(subscription, request.body);
          await inbox.setSubscribed(user, subscribed, context);
          response.json({ subscribed });
        }),
      );

      addEvents('/api/events', async (request, signal) => {
        const session = await readSession(request);
        return toServerSentEvents(liveEvents.follow(session, readLastEventId(request), signal));
      });
    },
  );
  return [...components, server];
}

function readPage(request: Request) {
  const { page_size, page_token } = parseInput(pageQuery, request.query);
  return { size: page_size, token: page_token };
}

/** What a browser got last it says in a header when it connects again, and can't say when it connects at first. */
function readLastEventId(request: Request): string | undefined {
  const fromHeader = request.get('Last-Event-ID');
  return fromHeader || parseInput(lastEventId, request.query).last_event_id || undefined;
}

async function* toServerSentEvents(events: AsyncIterable<LiveEvent>): AsyncGenerator<ServerSentEvent, void> {
  for await (const event of events) {
    switch (event.type) {
      case 'notification': {
        const { traceparent, ...data } = event.notification;
        yield { event: 'notification', id: data.id, data, traceparent };
        break;
      }
      case 'interrupted':
        yield { event: 'interrupted', data: {} };
        break;
      default:
        yield { event: event.type, id: event.id, data: {} };
    }
  }
}
