import { useEffect, useState } from 'preact/hooks';
import type { User } from '../api/types.js';
import { translate } from '../i18n/index.js';
import { Inbox } from '../state/inbox.js';
import { loadSession, session } from '../state/session.js';
import { Failed, Loading } from './feedback.js';
import { InboxPage } from './inbox-page.js';
import { SignIn } from './sign-in.js';

/** The page: the inbox of who is signed in, or the way there. */
export function App() {
  const { value } = session;
  switch (value.state) {
    case 'unknown':
      return (
        <main class="centred">
          <Loading />
        </main>
      );
    case 'failed':
      return (
        <main class="centred">
          <Failed message={translate('unavailable')} onRetry={() => void loadSession()} />
        </main>
      );
    case 'signedOut':
      return <SignIn isExpired={value.reason === 'expired'} />;
    case 'signedIn':
      return <SignedIn key={value.user.email} user={value.user} />;
  }
}

function SignedIn({ user }: { user: User }) {
  const [inbox, setInbox] = useState<Inbox>();
  useEffect(() => {
    const opened = new Inbox(user);
    setInbox(opened);
    return () => opened.close();
  }, [user]);
  return inbox ? <InboxPage inbox={inbox} /> : null;
}
