import { useState } from 'preact/hooks';
import { ApiError } from '../api/client.js';
import { translate } from '../i18n/index.js';
import { signIn, signUp } from '../state/session.js';
import { describeFailure } from './describe-failure.js';
import { Logo } from './icons.js';
import { readField } from './read-field.js';

/** Where a person signs in, or up. */
export function SignIn({ isExpired }: { isExpired: boolean }) {
  const [isNew, setIsNew] = useState(false);
  const [isBusy, setIsBusy] = useState(false);
  const [problem, setProblem] = useState<string>();

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (isBusy || !(event.currentTarget instanceof HTMLFormElement)) return;
    const form = event.currentTarget;
    const email = readField(form, 'email');
    const password = readField(form, 'password');
    setIsBusy(true);
    setProblem(undefined);
    try {
      if (isNew) await signUp(email, password, readField(form, 'name'));
      else await signIn(email, password);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setProblem(error.status === 401 ? translate('wrongCredentials') : describeFailure(error));
      setIsBusy(false);
    }
  };

  const resting = isNew ? translate('createAccount') : translate('signIn');
  const busy = isNew ? translate('creatingAccount') : translate('signingIn');
  return (
    <main class="centred">
      <form class="sign-in" aria-busy={isBusy} onSubmit={(event) => void submit(event)}>
        <Logo />
        <h1>{translate('inbox')}</h1>
        <p class="quiet">{translate('tagline')}</p>
        {isExpired && !problem && (
          <p class="notice" role="status">
            {translate('sessionEnded')}
          </p>
        )}
        {problem !== undefined && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        {isNew && (
          <label class="field">
            {translate('name')}
            <input name="name" autocomplete="name" required maxLength={200} />
          </label>
        )}
        <label class="field">
          {translate('email')}
          <input
            name="email"
            type="email"
            inputMode="email"
            autocomplete="username"
            required
            maxLength={254}
          />
        </label>
        <label class="field">
          {translate('password')}
          <input
            name="password"
            type="password"
            autocomplete={isNew ? 'new-password' : 'current-password'}
            required
          />
        </label>
        <button type="submit" class="button primary" disabled={isBusy}>
          {isBusy ? busy : resting}
        </button>
        <button
          type="button"
          class="button text"
          onClick={() => {
            setIsNew(!isNew);
            setProblem(undefined);
          }}
        >
          {isNew ? translate('haveAccount') : translate('amNew')}
        </button>
      </form>
    </main>
  );
}
