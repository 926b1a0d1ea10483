import type { CookieOptions, Request, Response } from 'express';
import { parseCookie } from 'cookie';

/** Cookies know no ports: what else runs on the host may well have one named `session`. */
export const SESSION_COOKIE = 'inbox_session';

/** Reads the token of the session that a request comes with. */
export function readSessionToken(request: Request): string | undefined {
  return parseCookie(request.headers.cookie ?? '')[SESSION_COOKIE];
}

/** Has the browser keep a token until the session ends: out of the page's reach, and from other sites' requests. */
export function setSessionToken(
  request: Request,
  response: Response,
  token: string,
  expiresAt: number,
): void {
  response.cookie(SESSION_COOKIE, token, { ...cookieOptions(request), expires: new Date(expiresAt) });
}

/** Has the browser forget the token. */
export function clearSessionToken(request: Request, response: Response): void {
  response.clearCookie(SESSION_COOKIE, cookieOptions(request));
}

function cookieOptions(request: Request): CookieOptions {
  return {
    httpOnly: true,
    sameSite: 'strict',
    // Whether there is TLS in front, only the browser can tell: in what its page's origin is.
    secure: request.secure || (request.headers.origin?.startsWith('https://') ?? false),
    path: '/',
  };
}
