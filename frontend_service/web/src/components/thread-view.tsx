import { Fragment } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Message, User } from '../api/types.js';
import { formatDay, formatMoment, formatTime, isSameDay, translate } from '../i18n/index.js';
import { closeConversation } from '../state/route.js';
import type { Thread, Unsent } from '../state/thread.js';
import { Avatar } from './avatar.js';
import { Composer } from './composer.js';
import { describeFailure } from './describe-failure.js';
import { Failed } from './feedback.js';
import { BackIcon, DownIcon } from './icons.js';
import { MoreButton } from './more-button.js';
import { Skeleton } from './skeleton.js';

/** How near to an edge counts as being there, in pixels. */
const NEAR_PX = 120;

/** One conversation: what was said, and where to answer. */
export function ThreadView({ thread, user }: { thread: Thread; user: User }) {
  const { email, state, older } = thread;
  const messages = thread.messages.value;
  const unsent = thread.unsent.value;
  const isWithSelf = email === user.email;
  const isOwn = (message: Message) => isWithSelf || message.sender_email !== email;
  const { log, isBehind, follow, scrollToEnd } = useScroll(thread, messages, unsent);
  const newest = messages.at(-1);

  return (
    <>
      <div class="bar thread-bar">
        <button
          type="button"
          class="button icon-only back"
          aria-label={translate('back')}
          onClick={closeConversation}
        >
          <BackIcon />
        </button>
        <Avatar email={email} />
        <h2>{email}</h2>
      </div>
      {/* Scrolled by keyboard as well. What is new is said below: what is loaded of the past need not be. */}
      <div
        ref={log}
        class="log"
        role="log"
        aria-live="off"
        aria-label={translate('conversationWith', email)}
        tabIndex={0}
        onScroll={follow}
      >
        {state.value === 'loading' && <Skeleton rows={5} />}
        {state.value === 'failed' && <Failed onRetry={() => void thread.refresh()} />}
        {state.value === 'ready' && messages.length + unsent.length === 0 && (
          <p class="nothing quiet">{translate(isWithSelf ? 'noteToSelf' : 'noMessages')}</p>
        )}
        {messages.length > 0 && <MoreButton state={older.value} onClick={() => void thread.loadOlder()} />}
        <ol>
          {messages.map((message, position) => (
            <Fragment key={message.message_id}>
              <DayBreak timestamp={message.timestamp} before={messages[position - 1]?.timestamp} />
              <MessageItem message={message} isOwn={isOwn(message)} />
            </Fragment>
          ))}
          {unsent.map((item) => (
            <UnsentItem key={item.key} unsent={item} thread={thread} />
          ))}
        </ol>
      </div>
      {isBehind && (
        <button type="button" class="button primary new-messages" onClick={scrollToEnd}>
          {translate('newMessages')}
          <DownIcon />
        </button>
      )}
      <p class="visually-hidden" aria-live="polite">
        {newest && !isOwn(newest) && translate('said', email, newest.content)}
      </p>
      <Composer thread={thread} />
    </>
  );
}

function DayBreak({ timestamp, before }: { timestamp: string; before: string | undefined }) {
  if (before !== undefined && isSameDay(new Date(before), new Date(timestamp))) return null;
  return (
    <li class="day">
      <span>{formatDay(timestamp)}</span>
    </li>
  );
}

function MessageItem({ message, isOwn }: { message: Message; isOwn: boolean }) {
  const { message_id, content, timestamp } = message;
  return (
    <li class={`message ${isOwn ? 'is-own' : ''}`} data-state="sent" data-message-id={message_id}>
      {isOwn && <span class="visually-hidden">{translate('you')}</span>}
      <p dir="auto">{content}</p>
      <time dateTime={timestamp} title={formatMoment(timestamp)}>
        {formatTime(timestamp)}
      </time>
    </li>
  );
}

function UnsentItem({ unsent, thread }: { unsent: Unsent; thread: Thread }) {
  const { key, content, failure } = unsent;
  const reason =
    failure &&
    (failure.status === 404
      ? translate('noSuchUser')
      : translate('notSentBecause', describeFailure(failure)));
  return (
    <li
      class={`message is-own ${failure ? 'is-failed' : 'is-pending'}`}
      data-state={failure ? 'failed' : 'pending'}
    >
      <span class="visually-hidden">{translate('you')}</span>
      <p dir="auto">{content}</p>
      {failure ? (
        <div class="not-sent" role="alert">
          <span>{reason}</span>
          <button type="button" class="button text" onClick={() => thread.sendAgain(key)}>
            {translate('tryAgain')}
          </button>
          <button type="button" class="button text" onClick={() => thread.discard(key)}>
            {translate('discard')}
          </button>
        </div>
      ) : (
        <span class="sending">{translate('sending')}</span>
      )}
    </li>
  );
}

/** Keeps the reader's place: at the end what is new comes into view; anywhere else nothing moves. */
function useScroll(thread: Thread, messages: readonly Message[], unsent: readonly Unsent[]) {
  const log = useRef<HTMLDivElement>(null);
  const [isBehind, setIsBehind] = useState(false);
  /** How far the view was from the end of what was shown last. */
  const fromEnd = useRef(0);
  const shown = useRef<{ first?: string | undefined; last?: string | undefined; unsent: number }>({
    unsent: 0,
  });

  const scrollToEnd = () => {
    log.current?.scrollTo({ top: log.current.scrollHeight });
    fromEnd.current = 0;
    setIsBehind(false);
  };
  const loadOlderIfNear = useCallback(() => {
    if (log.current && log.current.scrollTop < NEAR_PX && thread.older.peek() === 'ready')
      void thread.loadOlder();
  }, [thread]);
  const follow = () => {
    if (!log.current) return;
    const { scrollHeight, scrollTop, clientHeight } = log.current;
    fromEnd.current = scrollHeight - scrollTop - clientHeight;
    if (fromEnd.current < NEAR_PX) setIsBehind(false);
    loadOlderIfNear();
  };

  useLayoutEffect(() => {
    const element = log.current;
    if (!element) return;
    const before = shown.current;
    const now = { first: messages[0]?.message_id, last: messages.at(-1)?.message_id, unsent: unsent.length };
    shown.current = now;
    const hasWritten = now.unsent > before.unsent;
    if (before.first === undefined || hasWritten || fromEnd.current < NEAR_PX) scrollToEnd();
    else if (before.last === now.last && before.first !== now.first) {
      // What is older has come: what was in view stays there.
      element.scrollTop = element.scrollHeight - element.clientHeight - fromEnd.current;
    } else if (before.last !== now.last) setIsBehind(true);
    // Until there is something to scroll.
    loadOlderIfNear();
  }, [messages, unsent, loadOlderIfNear]);

  // A box that grows, or a keyboard that comes up, takes room from what is in view.
  useEffect(() => {
    const element = log.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => {
      if (fromEnd.current < NEAR_PX) element.scrollTo({ top: element.scrollHeight });
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  return { log, isBehind, follow, scrollToEnd };
}
