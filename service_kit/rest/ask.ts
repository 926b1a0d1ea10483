import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { text as readText } from 'node:stream/consumers';
import type { ServiceName } from '../access/callers.js';
import { RETRY_AFTER_HEADER } from '../errors.js';
import { type CertificateSet, ownCertificates } from '../tls/certificates.js';

/** A request to a REST door, GET unless told. */
export interface Question {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  signal: AbortSignal;
}

interface Answer {
  status: number;
  text: string;
  /** The header of that name. */
  retryAfter: string | undefined;
}

/**
 * Makes a request to the REST door of a service. Where this process has certificates, it shows them, and the service has to as well.
 *
 * @param address `host:port`
 * @throws the signal's reason once it is aborted, and what `fetch` or `node:https` throw when there is no answer.
 */
export async function ask(
  service: ServiceName,
  address: string,
  path: string,
  question: Question,
): Promise<Answer> {
  if (ownCertificates) {
    return askByTls(service, `https://${address}${path}`, question, agentFor(ownCertificates.current));
  }
  const response = await fetch(`http://${address}${path}`, question);
  const retryAfter = response.headers.get(RETRY_AFTER_HEADER) ?? undefined;
  return { status: response.status, text: await response.text(), retryAfter };
}

/** Node's `fetch` can't be told which certificates to use. */
async function askByTls(
  service: ServiceName,
  url: string,
  { method, headers, body, signal }: Question,
  agent: Agent,
): Promise<Answer> {
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      // Its certificate has to name the service, by whatever address it is reached.
      request(url, { agent, servername: service, method, headers, signal }, resolve)
        .on('error', reject)
        .end(body);
    });
    const retryAfter = response.headers[RETRY_AFTER_HEADER];
    return { status: response.statusCode ?? 0, text: await readText(response), retryAfter };
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

/** A second before the other side closes what is idle, so that nothing is sent into a connection that ends. */
const IDLE_TIMEOUT_MS = 4_000;

let latest: { set: CertificateSet; agent: Agent } | undefined;

/** New certificates get new connections; the old ones finish what they are at, and are closed once they are idle. */
function agentFor(set: CertificateSet): Agent {
  if (latest?.set !== set) {
    latest = {
      set,
      agent: new Agent({ ...set, keepAlive: true, timeout: IDLE_TIMEOUT_MS, maxCachedSessions: 0 }),
    };
  }
  return latest.agent;
}
