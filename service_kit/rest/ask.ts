import { Agent as HttpAgent, type IncomingMessage, request as requestByHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestByHttps } from 'node:https';
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
 * @throws the signal's reason once it is aborted, and what `node:http` throws when there is no answer.
 *
 * @NOTE Not by `fetch`: it can't be told which certificates to use, and to load it takes a third of the time of a health check.
 */
export async function ask(
  service: ServiceName,
  address: string,
  path: string,
  { body, ...options }: Question,
): Promise<Answer> {
  const { signal } = options;
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = ownCertificates
        ? requestByHttps(
            `https://${address}${path}`,
            // Its certificate has to name the service, by whatever address it is reached.
            { ...options, agent: agentFor(ownCertificates.current), servername: service },
            resolve,
          )
        : requestByHttp(`http://${address}${path}`, { ...options, agent: plainAgent }, resolve);
      request.on('error', reject).end(body);
    });
    const retryAfter = response.headers[RETRY_AFTER_HEADER];
    return { status: response.statusCode ?? 0, text: await readText(response), retryAfter };
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

/** A second before the other side closes what is idle, so that nothing is sent into a connection that ends. */
const keeping = { keepAlive: true, timeout: 4_000 };

const plainAgent = new HttpAgent(keeping);

let latest: { set: CertificateSet; agent: HttpsAgent } | undefined;

/** New certificates get new connections; the old ones finish what they are at, and are closed once they are idle. */
function agentFor(set: CertificateSet): HttpsAgent {
  if (latest?.set !== set) {
    latest = { set, agent: new HttpsAgent({ ...set, ...keeping, maxCachedSessions: 0 }) };
  }
  return latest.agent;
}
