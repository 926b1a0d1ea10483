import { useState } from 'preact/hooks';
import type { Conversation } from '../api/types.js';
import { formatCount, formatMoment, formatShort, translate, translateCount } from '../i18n/index.js';
import type { Inbox } from '../state/inbox.js';
import { hrefOf, openConversation, openEmail } from '../state/route.js';
import { Avatar } from './avatar.js';
import { Failed } from './feedback.js';
import { WriteIcon } from './icons.js';
import { MoreButton } from './more-button.js';
import { readField } from './read-field.js';
import { Skeleton } from './skeleton.js';

/** Whom the user talks to, the most recent first. */
export function ConversationList({ inbox }: { inbox: Inbox }) {
  const [isBeginning, setIsBeginning] = useState(false);
  const { items, state } = inbox.conversations;
  return (
    <nav class="conversations" aria-label={translate('conversations')}>
      <div class="bar">
        <h2>{translate('conversations')}</h2>
        <button
          type="button"
          class="button icon-only"
          aria-label={translate('newConversation')}
          title={translate('newConversation')}
          aria-expanded={isBeginning}
          onClick={() => setIsBeginning(!isBeginning)}
        >
          <WriteIcon />
        </button>
      </div>
      {isBeginning && <NewConversation onDone={() => setIsBeginning(false)} />}
      {state.value === 'loading' && <Skeleton rows={6} />}
      {state.value === 'failed' && <Failed onRetry={() => void inbox.conversations.refresh()} />}
      {state.value === 'ready' && items.value.length === 0 && (
        <div class="nothing">
          <p>{translate('noConversations')}</p>
          <p class="quiet">{translate('noConversationsHint')}</p>
        </div>
      )}
      {items.value.length > 0 && (
        <ul>
          {items.value.map((conversation) => (
            <li key={conversation.email}>
              <ConversationLink conversation={conversation} />
            </li>
          ))}
        </ul>
      )}
      <MoreButton
        state={inbox.conversations.more.value}
        onClick={() => void inbox.conversations.loadMore()}
      />
    </nav>
  );
}

function ConversationLink({ conversation: { email, last_message, unread } }: { conversation: Conversation }) {
  const isOwn = last_message.sender_email !== email;
  return (
    <a
      class={`conversation-link ${unread > 0 ? 'is-unread' : ''}`}
      href={hrefOf(email)}
      aria-current={openEmail.value === email ? 'page' : undefined}
    >
      <Avatar email={email} />
      <span class="conversation-email">{email}</span>
      <time dateTime={last_message.timestamp} title={formatMoment(last_message.timestamp)}>
        {formatShort(last_message.timestamp)}
      </time>
      <span class="preview" dir="auto">
        {isOwn ? translate('youSaid', last_message.content) : last_message.content}
      </span>
      {unread > 0 && (
        <span class="badge">
          <span aria-hidden="true">{unread > 99 ? '99+' : formatCount(unread)}</span>
          <span class="visually-hidden">{translateCount('unread', unread)}</span>
        </span>
      )}
    </a>
  );
}

function NewConversation({ onDone }: { onDone: () => void }) {
  const begin = (event: SubmitEvent) => {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    openConversation(readField(event.currentTarget, 'email').trim().toLowerCase());
    onDone();
  };
  return (
    <form class="new-conversation" onSubmit={begin}>
      <label class="field">
        {translate('emailOfPerson')}
        <input
          ref={focus}
          onKeyDown={({ key }) => key === 'Escape' && onDone()}
          name="email"
          type="email"
          required
          maxLength={254}
          autocomplete="off"
        />
      </label>
      <button type="submit" class="button primary">
        {translate('open')}
      </button>
      <button type="button" class="button" onClick={onDone}>
        {translate('cancel')}
      </button>
    </form>
  );
}

function focus(element: HTMLElement | null): void {
  element?.focus();
}
