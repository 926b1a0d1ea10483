import { t } from '../i18n/index.js';
import { useInbox } from './inbox-context.js';

/** Whether to be notified of messages at all. */
export function SubscriptionSwitch() {
  const { subscription } = useInbox();
  const isOn = subscription.isOn.value;
  return (
    <div>
      <button
        type="button"
        class="switch"
        role="switch"
        aria-checked={isOn}
        aria-label={t.notifyMe}
        aria-describedby="subscription-hint"
        disabled={subscription.status.value !== 'ready'}
        onClick={() => void subscription.set(!isOn)}
      >
        <span>
          {t.notifyMe} <span id="subscription-hint">{t.notifyMeHint}</span>
        </span>
        <span class="switch-track" />
      </button>
      <div role="alert">{subscription.hasFailed.value && <p class="problem">{t.subscriptionFailed}</p>}</div>
    </div>
  );
}
