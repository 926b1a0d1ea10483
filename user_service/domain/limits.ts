import type { FailureDelay, RateLimit } from '@messaging/service_kit/redis/rate-limits';
import type { RequestContext } from '@messaging/service_kit/request';

/** Holds up whoever guesses passwords, and whoever makes accounts by the dozen; a limit that is missing, nobody. */
export class Limits {
  constructor(
    private readonly limits: {
      accountFailures: FailureDelay | undefined;
      addressFailures: FailureDelay | undefined;
      signUps: RateLimit | undefined;
    },
  ) {}

  /**
   * Has a log-in attempted, which resolves to undefined where it fails; whether there is such an account makes no difference.
   *
   * @throws {ServiceError} `tooMany` where too many before it have failed, to the same account or from the same address.
   */
  async logIn<Found>(
    email: string,
    { findClientAddress }: RequestContext,
    attempt: () => Promise<Found | undefined>,
  ): Promise<Found | undefined> {
    const { accountFailures, addressFailures } = this.limits;
    const address = addressFailures && (await findClientAddress?.());
    const withdrawAddress = async () => address === undefined || addressFailures?.withdraw(address);
    if (address !== undefined) await addressFailures?.begin(address);
    try {
      await accountFailures?.begin(email);
    } catch (error) {
      await withdrawAddress();
      throw error;
    }
    let found: Found | undefined;
    try {
      found = await attempt();
    } catch (error) {
      // Nobody knows whether the password was right.
      await Promise.all([accountFailures?.withdraw(email), withdrawAddress()]);
      throw error;
    }
    // To forget all failures of an address would let go whoever has an account there, too.
    if (found) await Promise.all([accountFailures?.forget(email), withdrawAddress()]);
    return found;
  }

  /** Counts a sign-up. @throws {ServiceError} `tooMany` where too many came from the same address. */
  async signUp({ findClientAddress }: RequestContext): Promise<void> {
    const address = this.limits.signUps && (await findClientAddress?.());
    if (address !== undefined) await this.limits.signUps?.take(address);
  }
}
