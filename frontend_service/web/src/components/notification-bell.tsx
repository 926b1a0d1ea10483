import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n/index.js';
import { Icon } from './icon.js';
import { useInbox } from './inbox-context.js';
import { NotificationPanel } from './notification-panel.js';

const MOST_SHOWN = 99;

/** The bell with the number of unread notifications, and the panel that it opens. */
export function NotificationBell() {
  const unread = useInbox().notifications.unread.value;
  const [isOpen, setIsOpen] = useState(false);
  const container = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  const close = useCallback(() => {
    setIsOpen(false);
    button.current?.focus();
  }, []);

  useEffect(() => {
    if (!isOpen) return undefined;
    const closing = new AbortController();
    const { signal } = closing;
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key === 'Escape') close();
    };
    const closeOutside = ({ target }: Event) => {
      if (target instanceof Node && !container.current?.contains(target)) setIsOpen(false);
    };
    addEventListener('keydown', onKeyDown, { signal });
    addEventListener('pointerdown', closeOutside, { signal });
    addEventListener('focusin', closeOutside, { signal });
    return () => closing.abort();
  }, [isOpen, close]);

  return (
    <div class="bell" ref={container}>
      <button
        ref={button}
        type="button"
        class="button icon-button"
        aria-label={t.notificationsUnread(unread)}
        aria-expanded={isOpen}
        aria-controls={isOpen ? 'notification-panel' : undefined}
        onClick={() => setIsOpen(!isOpen)}
      >
        <Icon name="bell" />
        {unread > 0 && (
          <span class="badge" aria-hidden="true">
            {unread > MOST_SHOWN ? `${MOST_SHOWN}+` : unread}
          </span>
        )}
      </button>
      {isOpen && <NotificationPanel onClose={close} />}
    </div>
  );
}
