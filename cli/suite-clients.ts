import type { RedisConfig } from '@messaging/service_kit/config';
import { loadIdentity } from '@messaging/service_kit/access/identity';
import { loadCertificates } from '@messaging/service_kit/tls/certificates';
import { createLogger } from '@messaging/service_kit/log';
import type { RequestContext } from '@messaging/service_kit/request';
import {
  addressOf,
  type Layout,
  loadEnvironmentFile,
  readLayout,
  readOperatorKeyFile,
  readOperatorTls,
  readRedisConfig,
} from '#scripts/suite';
import type { FrontendServiceClient } from './clients/frontend-service.js';
import type { MessageServiceClient } from './clients/message-service.js';
import type { NotificationServiceClient } from './clients/notification-service.js';
import type { RedisClient } from './clients/redis.js';
import type { UserServiceClient } from './clients/user-service.js';

/** How long one call may take. */
export const TIMEOUT_MS = 5_000;

/**
 * The suite that a command is about, and clients of its parts, which end with the command. Each is loaded when it is asked for:
 * most commands need one, and the others would take longer to load than the command to run.
 */
export class SuiteClients {
  readonly layout: Layout;
  readonly redisConfig: RedisConfig;
  readonly #logger = createLogger('suite', 'silent', 'json');
  readonly #open: { stop: () => void }[] = [];

  /** @throws {ConfigError} when a variable that says where the suite is can't be used. */
  constructor() {
    loadEnvironmentFile();
    this.layout = readLayout(process.env);
    this.redisConfig = { ...readRedisConfig(process.env), timeoutMs: TIMEOUT_MS };
  }

  /** Takes the operator's key and certificate, where there are any: they open what callers have to show something for. @throws {ConfigError} */
  async identify(): Promise<void> {
    await loadIdentity({ serviceKeyFile: readOperatorKeyFile(process.env), serviceKeysFile: undefined });
    await loadCertificates(readOperatorTls(process.env));
  }

  async userService(): Promise<UserServiceClient> {
    const { UserServiceClient: Client } = await import('./clients/user-service.js');
    return new Client(addressOf('user_service_api', this.layout), TIMEOUT_MS, await this.#logger);
  }

  async messageService(): Promise<MessageServiceClient> {
    const { MessageServiceClient: Client } = await import('./clients/message-service.js');
    const address = addressOf('message_service_grpc', this.layout);
    return this.#keep(new Client(address, TIMEOUT_MS, await this.#logger));
  }

  async notificationService(): Promise<NotificationServiceClient> {
    const { NotificationServiceClient: Client } = await import('./clients/notification-service.js');
    const address = addressOf('notification_service_grpc', this.layout);
    return this.#keep(new Client(address, TIMEOUT_MS, await this.#logger));
  }

  async frontendService(): Promise<FrontendServiceClient> {
    const { FrontendServiceClient: Client } = await import('./clients/frontend-service.js');
    const address = addressOf('frontend_service_grpc', this.layout);
    return this.#keep(new Client(address, TIMEOUT_MS, await this.#logger));
  }

  /** @throws {CommandError} when Redis does not answer. */
  async redis(): Promise<RedisClient> {
    const { RedisClient: Client } = await import('./clients/redis.js');
    return this.#keep(await Client.connect(this.redisConfig));
  }

  stop(): void {
    for (const client of this.#open) client.stop();
  }

  #keep<Client extends { stop: () => void }>(client: Client): Client {
    this.#open.push(client);
    return client;
  }
}

/** What goes along with one call. */
export function newContext(): RequestContext {
  return { deadline: Date.now() + TIMEOUT_MS };
}
