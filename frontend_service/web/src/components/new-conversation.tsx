import { useRef } from 'preact/hooks';
import { t } from '../i18n/index.js';
import { normalizeEmail, openConversation } from '../state/route.js';
import { Icon } from './icon.js';

/** Asks to whom to write. */
export function NewConversation() {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);

  const open = (event: SubmitEvent) => {
    event.preventDefault();
    const email = normalizeEmail(input.current?.value ?? '');
    if (!email) return;
    dialog.current?.close();
    openConversation(email);
  };

  const show = () => {
    if (input.current) input.current.value = '';
    dialog.current?.showModal();
  };

  return (
    <>
      <button
        type="button"
        class="button primary icon-button"
        aria-label={t.newConversation}
        title={t.newConversation}
        onClick={show}
      >
        <Icon name="write" />
      </button>
      <dialog ref={dialog} class="card" aria-labelledby="new-conversation-heading">
        <form onSubmit={open}>
          <h2 id="new-conversation-heading">{t.newConversationIntro}</h2>
          <label class="field">
            <span>{t.emailAddress}</span>
            <input
              ref={input}
              type="text"
              inputMode="email"
              autoComplete="off"
              autoCapitalize="none"
              spellcheck={false}
              required
            />
          </label>
          <div class="card-buttons">
            <button type="button" class="button" onClick={() => dialog.current?.close()}>
              {t.cancel}
            </button>
            <button type="submit" class="button primary">
              {t.startConversation}
            </button>
          </div>
        </form>
      </dialog>
    </>
  );
}
