import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { Feed } from './domain/feed.js';

/** What both doors share. */
export interface FrontendService {
  feed: Feed;
  /** What the domain needs running, in the order to start. */
  components: Component[];
}

/** Wires the domain. FrontendService stores nothing, and needs no one. */
export function createFrontendService(logger: Logger): FrontendService {
  return { feed: new Feed(logger), components: [] };
}
