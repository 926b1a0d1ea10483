import type { InboxNotification } from '../api/schemas.js';
import { t } from '../i18n/index.js';
import { conversationHref } from '../state/route.js';
import { Avatar } from './avatar.js';
import { useInbox } from './inbox-context.js';
import { LoadMore } from './load-more.js';
import { Empty, LoadFailed } from './notice.js';
import { ShortTime } from './short-time.js';
import { Skeleton } from './skeleton.js';

/** Who wrote, newest first. @param onOpen called when one is chosen */
export function NotificationItems({ onOpen }: { onOpen: () => void }) {
  const { notifications } = useInbox();
  const { items, pager } = notifications;
  const { status, retry } = pager.loader;
  if (status.value === 'loading') return <Skeleton kind="row" count={3} />;
  if (status.value === 'failed') return <LoadFailed text={t.notificationsFailed} onRetry={retry} />;
  if (items.value.length === 0) return <Empty title={t.noNotifications} />;
  return (
    <div class="panel-list">
      <ul>
        {items.value.map((item) => (
          <NotificationItem key={item.id} item={item} onOpen={onOpen} />
        ))}
      </ul>
      <LoadMore pager={pager} />
    </div>
  );
}

function NotificationItem({ item, onOpen }: { item: InboxNotification; onOpen: () => void }) {
  const { sender_email, timestamp, read } = item;
  return (
    <li>
      <a class="row" href={conversationHref(sender_email)} onClick={onOpen} data-unread={!read}>
        <Avatar email={sender_email} />
        <span class="row-text">{t.wroteToYou(sender_email)}</span>
        <ShortTime timestamp={timestamp} />
        {!read && (
          <span class="dot">
            <span class="visually-hidden">{t.unread}</span>
          </span>
        )}
      </a>
    </li>
  );
}
