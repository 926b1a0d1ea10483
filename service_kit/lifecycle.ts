import { loadIdentity } from './access/identity.js';
import { ConfigError, type ProcessConfig } from './config.js';
import { createLogger, type Logger } from './log.js';
import { MetricsServer, observeProcess } from './metrics-server.js';
import { CertificateWatch } from './tls/certificate-watch.js';
import { loadCertificates, ownCertificates } from './tls/certificates.js';
import { startTracing, tracing } from './tracing.js';

/** A part of a process that is started and stopped: a server, a connection. */
export interface Component {
  /** Starts it. What it connects to may be away: it then keeps trying in the background. */
  start(): Promise<void> | void;
  /** Stops it, in at most `graceMs` plus a moment. */
  stop(graceMs: number): Promise<void> | void;
}

/** Something that a process needs, and whether it is there. */
export interface Dependency {
  readonly name: string;
  readonly isUp: boolean;
}

/** A dependency without which the process can't serve. */
export interface VitalDependency extends Dependency {
  /** Calls `listener` whenever `isUp` changes. */
  onChange(listener: () => void): void;
}

/** Ctrl-C under a process runner arrives twice within 50 ms: only a later second signal means "now". */
const SECOND_SIGNAL_AFTER_MS = 1_000;

/** How long a stop waits for whoever takes the spans. */
const LAST_SPANS_MS = 2_000;

/**
 * Runs a process: reads its configuration, starts its components in the order given, and stops them in
 * reverse on SIGTERM or SIGINT. Exits with 0 after a stop, with 1 when it could not start or broke.
 */
export async function runProcess<Config extends ProcessConfig>(
  name: string,
  loadConfig: () => Config,
  createComponents: (config: Config, logger: Logger) => Component[],
): Promise<void> {
  let config: Config;
  let logger: Logger;
  try {
    config = loadConfig();
    await loadIdentity(config.access);
    await loadCertificates(config.tls);
    if (config.traceProtocol) await startTracing(name, config.traceProtocol);
    logger = await createLogger(name, config.logLevel, config.logFormat);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${name}: ${error.message}\n`);
    process.exit(1);
  }

  const fail = (error: unknown) => {
    logger.fatal({ err: error }, 'giving up');
    process.exit(1);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);

  observeProcess();
  const components = createComponents(config, logger);
  const { host, metricsPort } = config;
  if (ownCertificates) components.unshift(new CertificateWatch(ownCertificates, logger));
  if (metricsPort !== undefined) components.unshift(new MetricsServer({ host, metricsPort }, logger));
  reportTracing(logger);
  let stoppingSince: number | undefined;
  const stop = async (signal: NodeJS.Signals) => {
    if (stoppingSince !== undefined) {
      if (Date.now() - stoppingSince >= SECOND_SIGNAL_AFTER_MS) process.exit(1);
      return;
    }
    stoppingSince = Date.now();
    logger.info({ signal }, 'stopping');
    for (const component of components.toReversed()) await component.stop(config.shutdownGraceMs);
    await tracing?.stop(Math.min(config.shutdownGraceMs, LAST_SPANS_MS));
    logger.info('stopped');
    process.exit(0);
  };
  process.on('SIGTERM', (signal) => void stop(signal));
  process.on('SIGINT', (signal) => void stop(signal));

  for (const component of components) await component.start();
}

/** Says once an outage of the collector that spans are lost: nothing else suffers from it. */
function reportTracing(logger: Logger): void {
  let lastReason: string | undefined;
  tracing?.onFailure((reason) => {
    logger[reason === lastReason ? 'debug' : 'warn'](
      { reason },
      'spans could not be handed over; they are lost',
    );
    lastReason = reason;
  });
}
