import { ServiceError } from '../errors.js';
import type { Logger } from '../log.js';
import type { TokenAuthority } from './authority.js';
import type { Caller, ServiceName } from './callers.js';
import type { AccessRule } from './rules.js';
import { TokenReader } from './token-reader.js';

/** What a call shows of who makes it. */
export interface Credentials {
  /** The header, or metadata, of that name. */
  authorization: string | undefined;
  /** The service that the other end of the connection has shown a certificate of. */
  certifiedService: ServiceName | undefined;
}

/** How often a stream looks whether its caller is still let in. */
const RECHECK_INTERVAL_MS = 1_000;

/** Decides who may make a call. In the open mode that is anyone, and nothing is looked at. */
export class AccessControl {
  /** Undefined in the open mode. */
  readonly #reader: TokenReader | undefined;

  /**
   * @param name the service that is called
   * @param authority undefined in the open mode
   */
  constructor(name: ServiceName, authority: TokenAuthority | undefined, logger: Logger) {
    this.#reader = authority && new TokenReader(name, authority);
    if (!authority) {
      logger.warn(
        'AUTH_MODE is open: whoever reaches this port acts as any user; AUTH_MODE=required asks for tokens',
      );
    }
  }

  /** Whether callers have to show who they are. */
  get isRequired(): boolean {
    return this.#reader !== undefined;
  }

  /**
   * Tells who makes a call, before what is asked for is looked at; undefined where that makes no difference. A token counts before
   * the certificate: by it a service acts for a user.
   *
   * @throws {ServiceError} `unauthenticated` when the call does not show it; `unavailable` when it can't be checked.
   */
  async identify(rule: AccessRule<never>, credentials: Credentials): Promise<Caller | undefined> {
    if (!this.#reader || rule.isOpen) return undefined;
    return this.#read(this.#reader, credentials);
  }

  /** Tells which service a call is shown to be from, be it one that anyone may make. In the open mode none shows it. */
  async findService(credentials: Credentials): Promise<ServiceName | undefined> {
    if (!this.#reader) return undefined;
    try {
      const caller = await this.#read(this.#reader, credentials);
      return caller.kind === 'service' ? caller.name : undefined;
    } catch (error) {
      if (error instanceof ServiceError) return undefined;
      throw error;
    }
  }

  async #read(reader: TokenReader, credentials: Credentials): Promise<Caller> {
    const { authorization } = credentials;
    if (authorization === undefined) {
      const name = credentials.certifiedService;
      if (name !== undefined) return { kind: 'service', name };
    }
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) {
      throw new ServiceError(
        'unauthenticated',
        'Log in, and send "Authorization: Bearer " with the token that you get',
      );
    }
    return reader.read(token);
  }

  /** @throws {ServiceError} `forbidden` when this caller may not make this call. */
  check<Input>(rule: AccessRule<Input>, caller: Caller | undefined, input: Input): void {
    if (caller) rule.check(caller, input);
  }

  /**
   * Watches over a call that goes on: `end` is called, once, when its caller would no longer be let in.
   *
   * @returns what ends the watch
   */
  watch(caller: Caller | undefined, end: (reason: ServiceError) => void): () => void {
    if (caller?.kind !== 'user') return () => {};
    const timer = setInterval(() => {
      void this.#reader?.recheck(caller).catch((error: unknown) => {
        // What can't be known at the moment ends nothing.
        if (!(error instanceof ServiceError) || error.kind !== 'unauthenticated') return;
        clearInterval(timer);
        end(error);
      });
    }, RECHECK_INTERVAL_MS);
    return () => clearInterval(timer);
  }
}
