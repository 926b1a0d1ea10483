import type { Component } from '@messaging/service_kit/lifecycle';
import type { Logger } from '@messaging/service_kit/log';
import { RestServer } from '@messaging/service_kit/rest/server';
import type { FrontendServiceConfig } from '../config.js';
import { createFrontendService } from '../service.js';

/** Creates the REST door of FrontendService and all that it needs, in the order to start. */
export function createRestApp(config: FrontendServiceConfig, logger: Logger): Component[] {
  const { components } = createFrontendService(logger);

  const server = new RestServer(
    config,
    logger,
    { name: 'FrontendService', dependencies: [], peers: [] },
    () => {},
  );
  return [...components, server];
}
