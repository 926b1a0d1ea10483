import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from '../api/client.js';
import { formatCount, translate, translateCount } from '../i18n/index.js';
import type { Inbox } from '../state/inbox.js';
import { Avatar } from './avatar.js';
import { describeFailure } from './describe-failure.js';
import { BellIcon, Logo, SignOutIcon } from './icons.js';
import { NotificationPanel } from './notification-panel.js';

/** The page's head: who is signed in, the bell, and the way out. */
export function Header({ inbox }: { inbox: Inbox }) {
  const [isPanelOpen, setIsPanelOpen] = useState(false);
  const [problem, setProblem] = useState<string>();
  const bell = useRef<HTMLButtonElement>(null);
  const place = useRef<HTMLDivElement>(null);
  const unread = inbox.unreadNotifications.value;
  const { email, name } = inbox.user;

  const closePanel = () => {
    setIsPanelOpen(false);
    bell.current?.focus();
  };
  useEffect(() => {
    if (!isPanelOpen) return undefined;
    const closeFromOutside = (event: PointerEvent) => {
      if (event.target instanceof Node && !place.current?.contains(event.target)) setIsPanelOpen(false);
    };
    addEventListener('pointerdown', closeFromOutside);
    return () => removeEventListener('pointerdown', closeFromOutside);
  }, [isPanelOpen]);

  const signOut = async () => {
    try {
      await inbox.signOut();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setProblem(describeFailure(error));
    }
  };

  return (
    <header class="header">
      <Logo />
      <h1>{translate('inbox')}</h1>
      {problem !== undefined && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <p class="who" title={translate('signedInAs', email)}>
        <Avatar email={email} />
        <span class="who-name" dir="auto">
          {name}
        </span>
      </p>
      <div ref={place} class="bell-place">
        <button
          ref={bell}
          type="button"
          class="button icon-only"
          aria-label={unread > 0 ? translateCount('notificationsUnread', unread) : translate('notifications')}
          aria-expanded={isPanelOpen}
          onClick={() => setIsPanelOpen(!isPanelOpen)}
        >
          <BellIcon />
          {unread > 0 && <span class="badge on-icon">{unread > 99 ? '99+' : formatCount(unread)}</span>}
        </button>
        {isPanelOpen && <NotificationPanel inbox={inbox} onClose={closePanel} />}
      </div>
      <button
        type="button"
        class="button icon-only"
        aria-label={translate('signOut')}
        title={translate('signOut')}
        onClick={() => void signOut()}
      >
        <SignOutIcon />
      </button>
    </header>
  );
}
