import { useEffect, useRef } from 'preact/hooks';
import type { Notification } from '../api/types.js';
import { formatMoment, formatShort, translate } from '../i18n/index.js';
import { askForDesktopNotifications, canAskForDesktopNotifications } from '../state/desktop-notifications.js';
import type { Inbox } from '../state/inbox.js';
import { hrefOf } from '../state/route.js';
import { Avatar } from './avatar.js';
import { Failed } from './feedback.js';
import { CloseIcon } from './icons.js';
import { MoreButton } from './more-button.js';
import { Skeleton } from './skeleton.js';

/** What has happened, and whether the user wants to be told. */
export function NotificationPanel({ inbox, onClose }: { inbox: Inbox; onClose: () => void }) {
  const panel = useRef<HTMLElement>(null);
  const { notifications, isSubscribed } = inbox;
  const { items, state } = notifications;
  useEffect(() => panel.current?.focus(), []);
  useEffect(() => {
    const closeOnEscape = ({ key }: KeyboardEvent) => {
      if (key === 'Escape') onClose();
    };
    addEventListener('keydown', closeOnEscape);
    return () => removeEventListener('keydown', closeOnEscape);
  });

  return (
    <section ref={panel} class="panel" tabIndex={-1} aria-label={translate('notifications')}>
      <div class="bar">
        <h2>{translate('notifications')}</h2>
        <button type="button" class="button icon-only" aria-label={translate('close')} onClick={onClose}>
          <CloseIcon />
        </button>
      </div>
      {isSubscribed.value !== undefined && (
        <div class="subscription">
          <button
            type="button"
            role="switch"
            class="switch"
            aria-checked={isSubscribed.value}
            onClick={() => void inbox.setSubscribed(!isSubscribed.value)}
          >
            {translate('notifyMe')}
            <span class="switch-track" aria-hidden="true" />
          </button>
          {!isSubscribed.value && <p class="quiet">{translate('notifyMeHint')}</p>}
          {isSubscribed.value && canAskForDesktopNotifications.value && (
            <button type="button" class="button text" onClick={() => void askForDesktopNotifications()}>
              {translate('allowDesktop')}
            </button>
          )}
        </div>
      )}
      {inbox.unreadNotifications.value > 0 && (
        <button type="button" class="button text" onClick={() => void inbox.markAllNotificationsRead()}>
          {translate('markAllRead')}
        </button>
      )}
      {state.value === 'loading' && <Skeleton rows={3} />}
      {state.value === 'failed' && <Failed onRetry={() => void notifications.refresh()} />}
      {state.value === 'ready' && items.value.length === 0 && (
        <p class="nothing quiet">{translate('noNotifications')}</p>
      )}
      {items.value.length > 0 && (
        <ul>
          {items.value.map((notification, position) => (
            <li key={notification.id ?? `without id ${position}`}>
              <NotificationLink notification={notification} onOpen={onClose} />
            </li>
          ))}
        </ul>
      )}
      <MoreButton state={notifications.more.value} onClick={() => void notifications.loadMore()} />
    </section>
  );
}

function NotificationLink({ notification, onOpen }: { notification: Notification; onOpen: () => void }) {
  const { sender_email, timestamp, read } = notification;
  return (
    <a class={`notification-link ${read ? '' : 'is-unread'}`} href={hrefOf(sender_email)} onClick={onOpen}>
      <Avatar email={sender_email} />
      <span class="notification-text">{translate('wroteToYou', sender_email)}</span>
      <time dateTime={timestamp} title={formatMoment(timestamp)}>
        {formatShort(timestamp)}
      </time>
      {!read && <span class="visually-hidden">{translate('isUnread')}</span>}
    </a>
  );
}
