import { useEffect, useRef, useState } from 'preact/hooks';
import { formatCount, translate } from '../i18n/index.js';
import type { Thread } from '../state/thread.js';
import { SendIcon } from './icons.js';

/** What the server takes of one message, in bytes of UTF-8. */
const MAX_CONTENT_BYTES = 64 * 1024;
const encoder = new TextEncoder();

/** Where a message is written. */
export function Composer({ thread }: { thread: Thread }) {
  const [content, setContent] = useState(thread.draft);
  const box = useRef<HTMLTextAreaElement>(null);
  const bytesTooMany = encoder.encode(content).length - MAX_CONTENT_BYTES;
  const canSend = content.trim() !== '' && bytesTooMany <= 0;

  // On a phone, the keyboard would cover what is to be read.
  useEffect(() => {
    if (matchMedia('(hover: hover) and (min-width: 700px)').matches) box.current?.focus();
  }, []);

  const write = (text: string) => {
    thread.keepDraft(text);
    setContent(text);
  };
  const send = () => {
    if (!canSend) return;
    thread.send(content);
    write('');
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
        box.current?.focus();
      }}
    >
      <textarea
        ref={box}
        rows={1}
        dir="auto"
        aria-label={translate('message')}
        placeholder={translate('message')}
        aria-invalid={bytesTooMany > 0}
        value={content}
        onInput={(event) => write(event.currentTarget.value)}
        onKeyDown={(event) => {
          // While a word is still being composed, Enter chooses it.
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          if (!event.repeat) send();
        }}
      />
      <button
        type="submit"
        class="button primary icon-only"
        aria-label={translate('send')}
        disabled={!canSend}
      >
        <SendIcon />
      </button>
      {bytesTooMany > 0 && (
        <p class="problem" role="alert">
          {translate('tooLong', formatCount(bytesTooMany))}
        </p>
      )}
    </form>
  );
}
