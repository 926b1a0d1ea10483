import { setTimeout as sleep } from 'node:timers/promises';
import type { Component } from '../lifecycle.js';
import type { Logger } from '../log.js';
import type { Certificates } from './certificates.js';

/** Files are read rather than watched: a mounted secret is replaced by ways of which a watch on the file is not told. */
const REREAD_INTERVAL_MS = 1_000;

/** Has a process use the certificates that its files hold now: connections that are open go on, new ones get the new. */
export class CertificateWatch implements Component {
  readonly #stopping = new AbortController();
  #lastFailure: string | undefined;
  #reported: string | undefined;
  #isEndTold = false;

  constructor(
    private readonly certificates: Certificates,
    private readonly logger: Logger,
  ) {}

  start(): void {
    void this.#watch();
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(REREAD_INTERVAL_MS, undefined, { signal }).catch(() => {});
      await this.#reread().catch((error: unknown) => this.#report(error));
      this.#tellEnd();
    }
  }

  async #reread(): Promise<void> {
    const isNew = await this.certificates.reread();
    if (isNew) this.logger.info({ validTo: this.certificates.validTo }, 'certificates replaced');
    else if (this.#reported !== undefined) this.logger.info('the certificates are again those in use');
    this.#lastFailure = undefined;
    this.#reported = undefined;
  }

  #tellEnd(): void {
    const { certificates } = this;
    const endsSoon = certificates.endsSoon();
    if (endsSoon && !this.#isEndTold) {
      this.logger.warn({ validTo: certificates.validTo }, 'the certificate ends soon: replace it');
    }
    this.#isEndTold = endsSoon;
  }

  /** Says once what is wrong, and not before it has been so twice: files are replaced one after the other. */
  #report(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (reason === this.#lastFailure && reason !== this.#reported) {
      this.logger.warn({ reason }, 'the new certificates can not be used; the old ones stay in use');
      this.#reported = reason;
    }
    this.#lastFailure = reason;
  }
}
