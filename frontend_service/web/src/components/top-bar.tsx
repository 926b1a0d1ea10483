import { useState } from 'preact/hooks';
import { t } from '../i18n/index.js';
import { signOut } from '../state/session.js';
import { Avatar } from './avatar.js';
import { Icon } from './icon.js';
import { useInbox } from './inbox-context.js';
import { NotificationBell } from './notification-bell.js';

/** Who is signed in, and what concerns all conversations. */
export function TopBar() {
  const { user, unsent } = useInbox();
  const [hasFailed, setHasFailed] = useState(false);
  const leave = () => {
    if (unsent.value > 0 && !confirm(t.unsentWarning)) return;
    setHasFailed(false);
    signOut().catch(() => setHasFailed(true));
  };
  return (
    <div class="top-bar">
      <span class="brand" aria-hidden="true">
        <span class="brand-mark">
          <Icon name="mail" />
        </span>
        <span class="brand-name">{t.appName}</span>
      </span>
      <div role="alert" class="top-bar-alert">
        {hasFailed && t.signOutFailed}
      </div>
      <NotificationBell />
      <span class="account" title={user.email}>
        <Avatar email={user.email} />
        <span class="account-name" dir="auto">
          {user.name}
        </span>
      </span>
      <button
        type="button"
        class="button icon-button"
        aria-label={t.signOut}
        title={t.signOut}
        onClick={leave}
      >
        <Icon name="signOut" />
      </button>
    </div>
  );
}
