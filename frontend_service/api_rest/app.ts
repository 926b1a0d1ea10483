import { anyone } from '@messaging/service_kit/access/rules';
import { ServiceError } from '@messaging/service_kit/errors';
import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { toPageRequest } from '@messaging/service_kit/paging';
import type { Authenticate } from '@messaging/service_kit/rest/app';
import type { ServerSentEvent } from '@messaging/service_kit/rest/event-stream';
import { RestServer } from '@messaging/service_kit/rest/server';
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
  const { users, access, clients, sessions, inbox, liveEvents, peers, components } = createInboxService(
    config,
    logger,
  );

  const signedIn: Authenticate<Session> = async (request, context) => {
    const session = await sessions.find(readSessionToken(request), context);
    return { caller: session, userToken: session.token };
  };

  const server = new RestServer(
    config,
    logger,
    {
      name: 'FrontendService',
      description:
        'What one person sees and does, for browsers: messages, notifications, and events as they happen.',
      securitySchemes: operations.securitySchemes,
      hasPage: true,
      access,
      clients,
      dependencies: [],
      peers,
      middleware: [securityHeaders, keepPrivate, requireSameOrigin, servePage, servePageFiles],
    },
    (on) => {
      on(operations.createUser, anyone).do(async ({ body }, context) => users.createUser(body, context));

      on(operations.logIn, anyone).do(
        async ({ body: { email, password } }, context, { request, response }) => {
          const { refreshToken, user, expiresAt } = await sessions.logIn(email, password, context);
          setSessionToken(request, response, refreshToken, expiresAt);
          return user;
        },
      );

      on(operations.getSession, signedIn).do(async (_input, context, { caller }) =>
        sessions.getUser(caller, context),
      );

      on(operations.logOut, anyone).do(async (_input, context, { request, response }) => {
        const refreshToken = readSessionToken(request);
        // A cookie that is of no use goes as well; one whose session goes on stays.
        await sessions.logOut(refreshToken, context).catch((error: unknown) => {
          if (error instanceof ServiceError && error.kind === 'unauthenticated') {
            clearSessionToken(request, response);
          }
          throw error;
        });
        clearSessionToken(request, response);
      });

      on(operations.listConversations, signedIn).do(async ({ query }, context, { caller: { user } }) => {
        const page = await inbox.listConversations(user.email, toPageRequest(query), context);
        return { conversations: page.items, next_page_token: page.nextPageToken };
      });

      on(operations.listMessages, signedIn).do(async ({ params, query }, context, { caller: { user } }) => {
        const page = await inbox.listMessages(user.email, params.email, toPageRequest(query), context);
        return { messages: page.items, next_page_token: page.nextPageToken };
      });

      on(operations.sendMessage, signedIn).do(
        async ({ params, body, headers }, context, { caller: { user } }) => {
          const message = {
            senderEmail: user.email,
            receiverEmail: params.email,
            content: body.content,
            requestId: headers['idempotency-key'],
          };
          return { message_id: await inbox.sendMessage(message, context) };
        },
      );

      on(operations.markConversationRead, signedIn).do(async ({ params }, context, { caller: { user } }) =>
        inbox.markConversationRead(user.email, params.email, context),
      );

      on(operations.listNotifications, signedIn).do(async ({ query }, context, { caller: { user } }) => {
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

      on(operations.markNotificationsRead, signedIn).do(async ({ body }, context, { caller: { user } }) =>
        inbox.markNotificationsRead(user.email, { ids: body.ids, upToId: body.up_to_id }, context),
      );

      on(operations.getSubscription, signedIn).do(async (_input, context, { caller: { user } }) => ({
        subscribed: await inbox.isSubscribed(user.email, context),
      }));

      on(operations.setSubscription, signedIn).do(async ({ body }, context, { caller: { user } }) => {
        await inbox.setSubscribed(user.email, body.subscribed, context);
        return { subscribed: body.subscribed };
      });

      on(operations.followEvents, signedIn).stream(async ({ headers, query }, session, signal) => {
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
