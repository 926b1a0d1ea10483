import { useEffect } from 'preact/hooks';
import { formatCount, translate } from '../i18n/index.js';
import type { Inbox } from '../state/inbox.js';
import { ConversationList } from './conversation-list.js';
import { Header } from './header.js';
import { ThreadView } from './thread-view.js';

/** The inbox of the signed-in user. */
export function InboxPage({ inbox }: { inbox: Inbox }) {
  const thread = inbox.thread.value;
  const unread = inbox.unreadMessages.value;

  useEffect(() => {
    document.title = unread > 0 ? `(${formatCount(unread)}) ${translate('inbox')}` : translate('inbox');
  }, [unread]);
  useEffect(() => () => void (document.title = translate('inbox')), []);

  return (
    <div class={`inbox ${thread ? 'has-thread' : ''}`}>
      <a class="skip" href="#conversation" onClick={focusConversation}>
        {translate('skipToConversation')}
      </a>
      <Header inbox={inbox} />
      <div role="status">{inbox.isOffline.value && <p class="banner">{translate('reconnecting')}</p>}</div>
      <main class="columns">
        <ConversationList inbox={inbox} />
        <section id="conversation" class="conversation" tabIndex={-1}>
          {thread ? (
            <ThreadView key={thread.email} thread={thread} user={inbox.user} />
          ) : (
            <p class="nothing quiet">{translate('chooseConversation')}</p>
          )}
        </section>
      </main>
    </div>
  );
}

/** The address says which conversation is open: it must stay as it is. */
function focusConversation(event: Event): void {
  event.preventDefault();
  document.getElementById('conversation')?.focus();
}
