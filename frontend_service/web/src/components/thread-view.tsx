import { useEffect, useRef } from 'preact/hooks';
import { t } from '../i18n/index.js';
import { closeConversation } from '../state/route.js';
import type { Thread } from '../state/thread.js';
import { Avatar } from './avatar.js';
import { Composer } from './composer.js';
import { Icon } from './icon.js';
import { MessageLog } from './message-log.js';

/** Where there is a mouse, there is a keyboard that does not take half of the screen. */
const hasKeyboard = () => matchMedia('(hover: hover) and (pointer: fine)').matches;

/** The open conversation. */
export function ThreadView({ thread }: { thread: Thread }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const composer = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    (hasKeyboard() ? composer : heading).current?.focus();
  }, []);

  return (
    <section class="thread" aria-labelledby="thread-heading">
      <div class="pane-head">
        <button
          type="button"
          class="button icon-button thread-back"
          aria-label={t.back}
          onClick={closeConversation}
        >
          <Icon name="back" />
        </button>
        <Avatar email={thread.email} />
        <h2 id="thread-heading" ref={heading} tabIndex={-1}>
          {thread.email}
        </h2>
      </div>
      <MessageLog thread={thread} />
      <Composer thread={thread} input={composer} />
    </section>
  );
}
