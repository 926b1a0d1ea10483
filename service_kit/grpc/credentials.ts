import { type ChannelCredentials, type ChannelOptions, credentials, experimental } from '@grpc/grpc-js';
import type { ServiceName } from '../access/callers.js';
import { type Certificates, ownCertificates } from '../tls/certificates.js';

/** What a channel to a service is made with: where this process has certificates, it shows them, and the service has to as well. */
export function channelCredentials(service: ServiceName): {
  credentials: ChannelCredentials;
  options: ChannelOptions;
} {
  if (!ownCertificates) return { credentials: credentials.createInsecure(), options: {} };
  return {
    credentials: createCredentials(ownCertificates),
    // A replica has many names, and addresses that change: what its certificate has to name is the service.
    options: { 'grpc.ssl_target_name_override': service },
  };
}

function createCredentials(certificates: Certificates): ChannelCredentials {
  const provider = new Provider(certificates);
  return experimental.createCertificateProviderChannelCredentials(provider, provider);
}

/**
 * Has grpc-js connect with the certificates of the moment. Its own provider takes whatever files hold, and has nothing left when
 * one can't be read.
 */
class Provider implements experimental.CertificateProvider {
  readonly #unfollow = new Map<unknown, () => void>();

  constructor(private readonly certificates: Certificates) {}

  addCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    const unfollow = this.certificates.follow(({ ca }) => listener({ caCertificate: Buffer.from(ca) }));
    this.#unfollow.set(listener, unfollow);
  }

  addIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    const unfollow = this.certificates.follow(({ cert, key }) =>
      listener({ certificate: Buffer.from(cert), privateKey: Buffer.from(key) }),
    );
    this.#unfollow.set(listener, unfollow);
  }

  removeCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#remove(listener);
  }

  removeIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#remove(listener);
  }

  #remove(listener: unknown): void {
    this.#unfollow.get(listener)?.();
    this.#unfollow.delete(listener);
  }
}
