import { t } from '../i18n/index.js';
import { retrySession, session, sessionStatus } from '../state/session.js';
import { InboxContext } from './inbox-context.js';
import { InboxScreen } from './inbox-screen.js';
import { LoadFailed } from './notice.js';
import { WelcomeScreen } from './welcome-screen.js';

/** What the page shows: a form to whom it does not know, and to the others their inbox. */
export function App() {
  const state = session.value;
  if (state.status === 'signedIn') {
    return (
      <InboxContext.Provider value={state.inbox}>
        <InboxScreen key={state.inbox.user.email} />
      </InboxContext.Provider>
    );
  }
  if (state.status === 'signedOut') return <WelcomeScreen hasEnded={state.hasEnded} />;
  return (
    <main class="welcome">
      <h1 class="visually-hidden">{t.appName}</h1>
      {sessionStatus.value === 'failed' ? (
        <LoadFailed text={t.unreachable} onRetry={retrySession} />
      ) : (
        <p class="visually-hidden">{t.loading}</p>
      )}
    </main>
  );
}
