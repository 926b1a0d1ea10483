import type { Request, RequestHandler } from 'express';
import { ServiceError } from '@messaging/service_kit/errors';

const READING_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/**
 * Refuses what a browser sends in the name of another site's page, as Go's `http.CrossOriginProtection` tells it: by
 * `Sec-Fetch-Site`, where the browser sends it (only to TLS and localhost), else by `Origin`. Who sends neither is no browser,
 * and nobody's cookie is sent without being meant.
 *
 * @throws {ServiceError} `forbidden`, for a request that changes something.
 */
export const requireSameOrigin: RequestHandler = (request, _response, next) => {
  if (!READING_METHODS.includes(request.method) && isCrossOrigin(request)) {
    throw new ServiceError('forbidden', 'A page of another origin can not change anything here');
  }
  next();
};

function isCrossOrigin({ headers, secure }: Request): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const { host, origin } = headers;
  if (origin === undefined) return false;
  if (!URL.canParse(origin)) return true;
  const page = new URL(origin);
  // Without TLS here there may be some in front, so that either protocol can be right.
  return page.host !== host || (secure && page.protocol !== 'https:');
}
