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
import { FrontendServiceClient } from './clients/frontend-service.js';
import { MessageServiceClient } from './clients/message-service.js';
import { NotificationServiceClient } from './clients/notification-service.js';
import { RedisClient } from './clients/redis.js';
import { UserServiceClient } from './clients/user-service.js';

/** How long one call may take. */
export const TIMEOUT_MS = 5_000;

/** The suite that a command is about, and clients of its parts, which end with the command. */
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
    return new UserServiceClient(addressOf('user_service_api', this.layout), TIMEOUT_MS, await this.#logger);
  }

  async messageService(): Promise<MessageServiceClient> {
    const address = addressOf('message_service_grpc', this.layout);
    return this.#keep(new MessageServiceClient(address, TIMEOUT_MS, await this.#logger));
  }

  async notificationService(): Promise<NotificationServiceClient> {
    const address = addressOf('notification_service_grpc', this.layout);
    return this.#keep(new NotificationServiceClient(address, TIMEOUT_MS, await this.#logger));
  }

  async frontendService(): Promise<FrontendServiceClient> {
    const address = addressOf('frontend_service_grpc', this.layout);
    return this.#keep(new FrontendServiceClient(address, TIMEOUT_MS, await this.#logger));
  }

  /** @throws {CommandError} when Redis does not answer. */
  async redis(): Promise<RedisClient> {
    return this.#keep(await RedisClient.connect(this.redisConfig));
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
