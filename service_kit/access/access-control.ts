import { createLocalJWKSet } from 'jose';
import type { AccessConfig } from '../config.js';
import { ServiceError } from '../errors.js';
import type { Logger } from '../log.js';
import type { TokenAuthority } from './authority.js';
import type { Caller, ServiceName } from './callers.js';
import { serviceKeys } from './identity.js';
import type { AccessRule } from './rules.js';
import { TokenReader } from './tokens.js';

/** What a call shows of who makes it. */
export interface Credentials {
  /** The header, or metadata, of that name. */
  authorization: string | undefined;
  /** The service that the caller's certificate is for, where it has shown one that is good. */
  certifiedService: ServiceName | undefined;
}

/** How often a stream looks whether its caller is still let in. */
const RECHECK_INTERVAL_MS = 1_000;

/** Decides who may make a call. In the open mode that is anyone, and nothing is looked at. */
export class AccessControl {
  readonly isRequired: boolean;
  readonly #reader: TokenReader;

  /** @param name the service that is called */
  constructor(
    name: ServiceName,
    config: AccessConfig,
    private readonly authority: TokenAuthority,
    logger: Logger,
  ) {
    this.isRequired = config.mode === 'required';
    this.#reader = new TokenReader(name, {
      user: (header, token) => this.authority.findKey(header, token),
      service: createLocalJWKSet(serviceKeys),
    });
    if (!this.isRequired) {
      logger.warn(
        'AUTH_MODE is open: whoever reaches this port acts as any user; AUTH_MODE=required asks for tokens',
      );
    }
  }

  /**
   * Tells who makes a call, before what is asked for is looked at; undefined where that makes no difference.
   *
   * @throws {ServiceError} `unauthenticated` when the call does not show it; `unavailable` when it can't be checked.
   */
  async identify(rule: AccessRule<never>, shown: Credentials): Promise<Caller | undefined> {
    if (!this.isRequired || rule.isOpen) return undefined;
    const caller = await this.#read(shown);
    if (!caller) {
      throw new ServiceError(
        'unauthenticated',
        'Log in, and send "Authorization: Bearer " with the token that you get',
      );
    }
    return caller;
  }

  /** @throws {ServiceError} `forbidden` when this caller may not make this call. */
  check<Input>(rule: AccessRule<Input>, caller: Caller | undefined, input: Input): void {
    if (caller) rule.check(caller, input);
  }

  /** Tells whether a call is one of this service's own, on behalf of somebody else. */
  async isFrom(name: ServiceName, shown: Credentials): Promise<boolean> {
    const caller = await this.#read(shown).catch(() => undefined);
    return caller?.kind === 'service' && caller.name === name;
  }

  /**
   * Watches over a call that goes on: `end` is called, once, when its caller would no longer be let in.
   *
   * @returns what ends the watch
   */
  watch(caller: Caller | undefined, end: (reason: ServiceError) => void): () => void {
    if (caller?.kind !== 'user') return () => {};
    const timer = setInterval(() => {
      void this.#recheck(caller).catch((error: unknown) => {
        // What can't be known at the moment ends nothing.
        if (!(error instanceof ServiceError) || error.kind !== 'unauthenticated') return;
        clearInterval(timer);
        end(error);
      });
    }, RECHECK_INTERVAL_MS);
    return () => clearInterval(timer);
  }

  async #recheck({ sessionId, expiresAt }: Extract<Caller, { kind: 'user' }>): Promise<void> {
    if (Date.now() >= expiresAt) {
      throw new ServiceError('unauthenticated', 'The token has expired: begin again with a new one');
    }
    await this.authority.checkSession(sessionId);
  }

  async #read({ authorization, certifiedService }: Credentials): Promise<Caller | undefined> {
    if (authorization === undefined) {
      return certifiedService === undefined ? undefined : { kind: 'service', name: certifiedService };
    }
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (token === undefined) return undefined;
    const caller = await this.#reader.read(token);
    if (caller.kind === 'user') await this.authority.checkSession(caller.sessionId);
    return caller;
  }
}
