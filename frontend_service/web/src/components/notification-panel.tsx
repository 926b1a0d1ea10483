import { useEffect, useRef, useState } from 'preact/hooks';
import { describeError } from '../i18n/describe-error.js';
import { t } from '../i18n/index.js';
import { askForDesktopNotifications, canAskForDesktopNotifications } from '../state/desktop-notifications.js';
import { Icon } from './icon.js';
import { useInbox } from './inbox-context.js';
import { NotificationItems } from './notification-items.js';
import { SubscriptionSwitch } from './subscription-switch.js';

/** The notifications, and how to be notified. */
export function NotificationPanel({ onClose }: { onClose: () => void }) {
  const { notifications, subscription } = useInbox();
  const [problem, setProblem] = useState('');
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);

  const markAllRead = () => {
    setProblem('');
    notifications.markAllRead().catch((error: unknown) => {
      setProblem(describeError(error));
      void notifications.refresh();
    });
  };

  return (
    <section class="panel" id="notification-panel" aria-labelledby="notification-heading">
      <div class="panel-head">
        <h2 id="notification-heading" ref={heading} tabIndex={-1}>
          {t.notifications}
        </h2>
        <button type="button" class="button icon-button" aria-label={t.close} onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <button
        type="button"
        class="button quiet panel-mark"
        disabled={notifications.unread.value === 0}
        onClick={markAllRead}
      >
        {t.markAllRead}
      </button>
      <div role="alert">{problem && <p class="problem">{problem}</p>}</div>
      <NotificationItems onOpen={onClose} />
      <div class="panel-foot">
        <SubscriptionSwitch />
        {!subscription.isOn.value && <p class="hint">{t.notificationsOff}</p>}
        {canAskForDesktopNotifications.value && (
          <button type="button" class="button wide" onClick={() => void askForDesktopNotifications()}>
            {t.allowDesktop}
          </button>
        )}
      </div>
    </section>
  );
}
