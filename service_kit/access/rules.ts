import { ServiceError } from '../errors.js';
import type { Caller, ServiceName } from './callers.js';

/** Who may make a call, where callers have to show who they are. */
export interface AccessRule<Input> {
  /** Whether there is something to show at all. */
  readonly isOpen: boolean;
  /** @throws {ServiceError} `forbidden` where this caller may not make this call. */
  check: (caller: Caller, input: Input) => void;
}

/** Anyone may, without showing anything. */
export const anyone: AccessRule<unknown> = { isOpen: true, check: () => {} };

/** Only these services may, and the operator. */
export function onlyServices(...names: ServiceName[]): AccessRule<unknown> {
  return {
    isOpen: false,
    check: (caller) => {
      if (!isOneOf(caller, names)) throw new ServiceError('forbidden', 'This is not for you to call');
    },
  };
}

/**
 * A user may where it is their own, and for any user these services may, and the operator.
 *
 * @param findOwner whose it is, by the email in the input
 */
export function ownerOf<Input>(
  findOwner: (input: Input) => string,
  ...names: ServiceName[]
): AccessRule<Input> {
  return {
    isOpen: false,
    check: (caller, input) => {
      const isOwner = caller.kind === 'user' && caller.email === findOwner(input);
      if (isOwner || isOneOf(caller, names)) return;
      throw new ServiceError('forbidden', 'You can do this only for yourself, with your own email');
    },
  };
}

function isOneOf(caller: Caller, names: readonly ServiceName[]): boolean {
  return caller.kind === 'service' && (caller.name === 'operator' || names.includes(caller.name));
}
