import { t } from '../i18n/index.js';
import { isOnline } from '../state/environment.js';
import { useHeld } from './use-held.js';
import { useInbox } from './inbox-context.js';

/** What is over sooner than this is nobody's concern. */
const PATIENCE_MS = 1_000;

/** Says that news do not arrive at the moment. */
export function ConnectionBanner() {
  const { isConnected } = useInbox();
  const isShown = useHeld(!isConnected.value, PATIENCE_MS);
  return (
    // Screen readers only notice what changes in a region that is there already.
    <div class="connection" role="status">
      {isShown && <p>{isOnline.value ? t.reconnecting : t.offline}</p>}
    </div>
  );
}
