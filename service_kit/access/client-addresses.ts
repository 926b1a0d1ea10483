import ipaddr from 'ipaddr.js';
import proxyaddr from 'proxy-addr';
import type { AccessControl, Credentials } from './access-control.js';
import type { ServiceName } from './callers.js';

/** What a call shows of where it comes from. */
export interface CallOrigin extends Credentials {
  /** The other end of the connection. */
  remoteAddress: string | undefined;
  /** Those on whose behalf it calls, each as told by the next: `X-Forwarded-For`. */
  forwardedFor: string | undefined;
}

/** Tells the addresses that calls come from: of whoever calls, and not of the proxies in between. */
export class ClientAddresses {
  readonly #isProxy: (address: string, hop: number) => boolean;

  /**
   * @param proxies whose word is taken for whom they call for: addresses, networks such as `10.0.0.0/8`, and the names
   *   `loopback`, `linklocal` and `uniquelocal`
   * @param relay the service of ours that calls for others, where it shows which it is
   */
  constructor(
    private readonly access: AccessControl,
    proxies: readonly string[],
    private readonly relay?: ServiceName,
  ) {
    this.#isProxy = proxyaddr.compile([...proxies]);
  }

  /**
   * Finds the address that a call comes from; of IPv6, the network, as whoever has one address there has them all. Undefined for
   * whoever runs the suite, who is not counted.
   */
  async find({
    remoteAddress = '',
    forwardedFor = '',
    ...credentials
  }: CallOrigin): Promise<string | undefined> {
    const service = await this.access.findService(credentials);
    if (service === 'operator') return undefined;
    const told = forwardedFor.split(',').map((address) => address.trim());
    const hops = [remoteAddress, ...(forwardedFor === '' ? [] : told.toReversed())];
    const isRelayed = service !== undefined && service === this.relay;
    const isTrusted = (address: string, hop: number) =>
      (hop === 0 && isRelayed) || this.#isProxy(address, hop);
    return withoutHost(hops.find((address, hop) => !isTrusted(address, hop)) ?? hops.at(-1) ?? '');
  }
}

/** The first half of an IPv6 address is the network's (https://www.rfc-editor.org/rfc/rfc4291#section-2.5.4). */
function withoutHost(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed instanceof ipaddr.IPv4) return parsed.toString();
  const network = parsed.parts.slice(0, 4).map((part) => part.toString(16));
  return `${network.join(':')}::/64`;
}
