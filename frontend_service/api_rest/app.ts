import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { toPageRequest } from '@messaging/service_kit/paging';
import type { ServerSentEvent } from '@messaging/service_kit/rest/event-stream';
import { RestServer } from '@messaging/service_kit/rest/server';
import type { Request } from 'express';
import type { FrontendServiceConfig } from '../config.js';
import type { LiveEvent } from '../domain/live-events.js';
import type { Session } from '../domain/sessions.js';
import { createInboxService } from '../service.js';
import * as operations from './operations.js';
import { keepPrivate, securityHeaders, servePage, servePageFiles } from './page.js';
import { requireSameOrigin } from './same-origin.js';
import { clearSessionToken, readSessionToken, setSessionToken } from './session-cookie.js';

/** Creates the REST door of FrontendService and all that it needs, in the order to start. */
export function createRestApp(config: FrontendServiceConfig, logger: Logger): Component[] {
  const { users, sessions, inbox, liveEvents, peers, components } = createInboxService(config, logger);

  const signedIn = async (request: Request): Promise<Session> =>
    sessions.readToken(readSessionToken(request));

  const server = new RestServer(
    config,
    logger,
    {
      name: 'FrontendService',
      description:
        'What one person sees and does, for browsers: messages, notifications, and events as they happen.',
      securitySchemes: operations.securitySchemes,
      hasPage: true,
      dependencies: [],
      peers,
      middleware: [securityHeaders, keepPrivate, requireSameOrigin, servePage, servePageFiles],
    },
    (on) => {
      on(operations.createUser).do(async ({ body }, context) => users.createUser(body, context));

      on(operations.logIn).do(async ({ body: { email, password } }, context, { request, response }) => {
        const { token, session } = await sessions.logIn(email, password, context);
        setSessionToken(request, response, token, session.expiresAt);
        return session.user;
      });

      on(operations.getSession)
        .for(signedIn)
        .do(async (_input, context, { caller }) => sessions.getUser(caller, context));

      // Whatever token there is, the cookie goes.
      on(operations.logOut).do(async (_input, _context, { request, response }) => {
        clearSessionToken(request, response);
        await signedIn(request);
      });

      on(operations.listConversations)
        .for(signedIn)
        .do(async ({ query }, context, { caller: { user } }) => {
          const page = await inbox.listConversations(user.email, toPageRequest(query), context);
          return { conversations: page.items, next_page_token: page.nextPageToken };
        });

      on(operations.listMessages)
        .for(signedIn)
        .do(async ({ params, query }, context, { caller: { user } }) => {
          const page = await inbox.listMessages(user.email, params.email, toPageRequest(query), context);
          return { messages: page.items, next_page_token: page.nextPageToken };
        });

      on(operations.sendMessage)
        .for(signedIn)
        .do(async ({ params, body, headers }, context, { caller: { user } }) => {
          const message = {
            senderEmail: user.email,
            receiverEmail: params.email,
            content: body.content,
            requestId: headers['idempotency-key'],
          };
          return { message_id: await inbox.sendMessage(message, context) };
        });

      on(operations.markConversationRead)
        .for(signedIn)
        .do(async ({ params }, context, { caller: { user } }) =>
          inbox.markConversationRead(user.email, params.email, context),
        );

      on(operations.listNotifications)
        .for(signedIn)
        .do(async ({ query }, context, { caller: { user } }) => {
          const page = await inbox.listNotifications(
            user.email,
            query.unread_only,
            toPageRequest(query),
            context,
          );
          return {
            notifications: page.items,
            unread: page.unread,
            next_page_token: page.nextPageToken,
          };
        });

      on(operations.markNotificationsRead)
        .for(signedIn)
        .do(async ({ body }, context, { caller: { user } }) =>
          inbox.markNotificationsRead(user.email, { ids: body.ids, upToId: body.up_to_id }, context),
        );

      on(operations.getSubscription)
        .for(signedIn)
        .do(async (_input, context, { caller: { user } }) => ({
          subscribed: await inbox.isSubscribed(user.email, context),
        }));

      on(operations.setSubscription)
        .for(signedIn)
        .do(async ({ body }, context, { caller: { user } }) => {
          await inbox.setSubscribed(user.email, body.subscribed, context);
          return { subscribed: body.subscribed };
        });

      on(operations.followEvents)
        .for(signedIn)
        .stream(async ({ headers, query }, session, signal) => {
          // What a browser got last it says in a header when it connects again, and can't say when it connects at first.
          const lastEventId = headers['last-event-id'] || query.last_event_id || undefined;
          return toServerSentEvents(liveEvents.follow(session, lastEventId, signal));
        });
    },
  );
  return [...components, server];
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
