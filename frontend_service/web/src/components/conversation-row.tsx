import type { Conversation } from '../api/schemas.js';
import { t } from '../i18n/index.js';
import { conversationHref, openEmail } from '../state/route.js';
import { Avatar } from './avatar.js';
import { useInbox } from './inbox-context.js';
import { ShortTime } from './short-time.js';

/** No row has room for more; a message may be long. */
const PREVIEW_LENGTH = 200;

/** A conversation in the list. */
export function ConversationRow({ conversation }: { conversation: Conversation }) {
  const { user } = useInbox();
  const { email, last_message, unread } = conversation;
  const isMine = last_message.sender_email === user.email;
  return (
    <li>
      <a
        class="row"
        href={conversationHref(email)}
        aria-current={openEmail.value === email ? 'page' : undefined}
        data-email={email}
        data-unread={unread > 0}
      >
        <Avatar email={email} />
        <span class="row-text">
          <span class="row-title">{email}</span>
          <span class="row-preview">
            {isMine && `${t.you}: `}
            <bdi>{last_message.content.slice(0, PREVIEW_LENGTH)}</bdi>
          </span>
        </span>
        <span class="row-side">
          <ShortTime timestamp={last_message.timestamp} />
          {unread > 0 && (
            <span class="badge">
              <span aria-hidden="true">{unread}</span>
              <span class="visually-hidden">{t.unreadMessages(unread)}</span>
            </span>
          )}
        </span>
      </a>
    </li>
  );
}
