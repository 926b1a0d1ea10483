import { t } from '../i18n/index.js';
import { openEmail } from '../state/route.js';
import { ConnectionBanner } from './connection-banner.js';
import { ConversationNav } from './conversation-nav.js';
import { useInbox } from './inbox-context.js';
import { Empty } from './notice.js';
import { ThreadView } from './thread-view.js';
import { TopBar } from './top-bar.js';

/** The list and a conversation, side by side where there is room; elsewhere one or the other. */
export function InboxScreen() {
  const inbox = useInbox();
  const email = openEmail.value;
  return (
    <div class="inbox" data-showing={email ? 'thread' : 'list'}>
      <header>
        {/* The bar is not on the screen of a conversation on a phone, but the page is still what it is. */}
        <h1 class="visually-hidden">{t.appName}</h1>
        <TopBar />
        <ConnectionBanner />
      </header>
      <main class="panes">
        <ConversationNav />
        {email ? (
          <ThreadView key={email} thread={inbox.thread(email)} />
        ) : (
          <div class="thread thread-none">
            <Empty title={t.nothingOpen}>{t.nothingOpenHint}</Empty>
          </div>
        )}
      </main>
    </div>
  );
}
