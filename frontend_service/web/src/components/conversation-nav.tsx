import { useEffect, useRef } from 'preact/hooks';
import { t } from '../i18n/index.js';
import { openEmail } from '../state/route.js';
import { ConversationRow } from './conversation-row.js';
import { useInbox } from './inbox-context.js';
import { LoadMore } from './load-more.js';
import { NewConversation } from './new-conversation.js';
import { Empty, LoadFailed } from './notice.js';
import { Skeleton } from './skeleton.js';

/** The conversations to choose from. */
export function ConversationNav() {
  const nav = useRef<HTMLElement>(null);
  const lastOpen = useRef('');
  const email = openEmail.value;

  useEffect(() => {
    // Whoever comes back from a conversation goes on where they left the list.
    if (!email && lastOpen.current) {
      nav.current?.querySelector<HTMLElement>(`[data-email="${CSS.escape(lastOpen.current)}"]`)?.focus();
    }
    lastOpen.current = email;
  }, [email]);

  return (
    <nav ref={nav} class="conversations" aria-label={t.conversations}>
      <div class="pane-head">
        <h2>{t.conversations}</h2>
        <NewConversation />
      </div>
      <ConversationItems />
    </nav>
  );
}

function ConversationItems() {
  const { conversations } = useInbox();
  const { items, pager } = conversations;
  const { status, retry } = pager.loader;
  if (status.value === 'loading') return <Skeleton kind="row" count={6} />;
  if (status.value === 'failed') return <LoadFailed text={t.conversationsFailed} onRetry={retry} />;
  if (items.value.length === 0) return <Empty title={t.noConversations}>{t.noConversationsHint}</Empty>;
  return (
    <div class="pane-body">
      <ul>
        {items.value.map((conversation) => (
          <ConversationRow key={conversation.email} conversation={conversation} />
        ))}
      </ul>
      <LoadMore pager={pager} />
    </div>
  );
}
