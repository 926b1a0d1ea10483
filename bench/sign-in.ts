import { BenchError } from './options.js';

/**
 * Signs a person in at FrontendService's REST door, as a browser does.
 *
 * @param address the door's `host:port`
 * @returns the cookie that a browser would show from then on.
 * @throws {BenchError} when they are not let in.
 */
export async function signIn(address: string, account: { email: string; password: string }): Promise<string> {
  const answer = await post(`http://${address}/api/session`, account);
  const [cookie] = answer.headers.getSetCookie();
  if (cookie === undefined)
    throw new BenchError(`${account.email} could not sign in: ${await answer.text()}`);
  return cookie.split(';')[0] ?? '';
}

/** Makes the account unless it is there, and signs in. */
export async function signUpAndIn(
  address: string,
  account: { email: string; password: string; name: string },
): Promise<string> {
  // Whether it is there already makes no difference.
  await post(`http://${address}/api/users`, account);
  return signIn(address, account);
}

async function post(url: string, body: Record<string, string>): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}
