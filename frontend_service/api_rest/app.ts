import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { RestServer } from '@messaging/service_kit/rest/server';
import type { FrontendServiceConfig } from '../config.js';

/** Creates the REST door of FrontendService and all that it needs, in the order to start. */
export function createRestApp(config: FrontendServiceConfig, logger: Logger): Component[] {
  const server = new RestServer(
    config,
    logger,
    { name: 'FrontendService', dependencies: [], peers: [] },
    () => {},
  );
  return [server];
}
